"""Recipes of the laptop profile's own small networks."""
