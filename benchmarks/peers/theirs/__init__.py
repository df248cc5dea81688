"""The peers' side of each comparison: runs in their environment, where of this project only `benchmarks` is in reach."""
