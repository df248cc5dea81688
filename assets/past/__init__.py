"""What was made from what, restore points, the DVC remote, withdrawn clips."""
