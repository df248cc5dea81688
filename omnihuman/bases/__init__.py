"""Base models: what each brings, and what OmniHuman adds to any of them."""
