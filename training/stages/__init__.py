"""The three stages of omni-condition training, and the weights they start from."""
