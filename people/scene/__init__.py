"""Where and how a person is filmed: camera, light, background."""
