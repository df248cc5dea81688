"""What every server of the project shares: who may ask, how much, how it listens and what it counts."""
