"""Rendered people whose truth is known exactly."""
