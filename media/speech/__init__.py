"""What speech is measured by, in numpy alone: the processes that decode have no torch."""
