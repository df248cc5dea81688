"""What generating videos costs."""
