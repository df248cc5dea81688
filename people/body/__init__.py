"""Bodies: the mesh of one identity with hair and clothes, and its pose of a moment."""
