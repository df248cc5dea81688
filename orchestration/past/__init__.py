"""Answer where a thing came from, go back to a past state, promote by hand, withdraw clips."""
