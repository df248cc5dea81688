"""Distances between two sets of features: Fréchet and kernel, with the networks or the latents that they are taken on."""
