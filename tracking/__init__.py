"""MLflow runs and registry, and live progress files."""
