"""Published networks that metrics are named for, by path. None of their weights is in this project."""
