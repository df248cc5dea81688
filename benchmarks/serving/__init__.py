"""The video server under load."""
