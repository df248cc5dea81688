"""Networks that judge pictures and sound, for scores of clips and for metrics. Published ones are taken by path, and are not in this project."""
