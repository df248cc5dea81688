"""What judging videos costs."""
