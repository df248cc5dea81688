"""What exports share: their marks, and the way out of Python."""
