"""What was made from what, restore points, the DVC remote, and data that DVC brought back."""
