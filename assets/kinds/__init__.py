"""One module per kind of asset, and what only these need."""
