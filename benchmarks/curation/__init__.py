"""What scoring and choosing clips costs."""
