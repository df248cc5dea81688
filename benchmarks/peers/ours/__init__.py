"""This project's side of each comparison."""
