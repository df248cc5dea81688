"""Tell what this machine and these stores lack for a profile."""
