"""Video latent by latent while its sound comes in: a causal pass with a memory, a decoder with state, and both as one stream (APT2, arXiv 2506.09350)."""
