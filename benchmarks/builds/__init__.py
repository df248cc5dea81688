"""Two builds of this project beside each other, in turns on the same inputs: `python -m benchmarks.builds --before CHECKOUT`."""
