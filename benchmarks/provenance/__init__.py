"""What the marks of exported files survive, and what they cost."""
