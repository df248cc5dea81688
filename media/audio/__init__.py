"""What is heard of a file: its tracks on the file's own clock, as one channel, measured."""
