"""Pages and pictures about evaluation."""
