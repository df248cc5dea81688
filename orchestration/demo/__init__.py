"""The whole pipeline by one command: its inbox, its console and its summary."""
