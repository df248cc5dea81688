"""How good a model is: a held-out benchmark, generation on it, metrics with floors and ceilings, the promotion gate."""
