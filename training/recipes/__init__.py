"""Recipes of this project's own small networks: the laptop profile's, and the one that hears what a mouth does."""
