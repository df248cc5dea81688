"""Videos for people and products: generation from files, the page, the video server, blind votes."""
