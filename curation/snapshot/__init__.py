"""What training and testing are frozen on: the snapshot, withdrawals, test sets, identities."""
