"""Pages and pictures about curation."""
