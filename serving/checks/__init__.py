"""What is measured of every video that was served, and of what it was made from."""
