"""The benchmark: its clips, what is generated on it, and what that costs."""
