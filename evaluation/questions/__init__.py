"""Studies of a model: drift, conditions, guidance, decoders, ablations."""
