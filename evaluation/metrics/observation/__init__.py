"""What looks at one clip, what there is of it, and the two together: what a metric may ask for."""
