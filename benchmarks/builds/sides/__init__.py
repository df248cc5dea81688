"""What is run in a build's own Python: each module works in this build and in the one before it, where other modules hold the same things."""
