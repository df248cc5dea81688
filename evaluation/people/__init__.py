"""What people prefer, and how sure that is."""
