"""Which version of a registered model is served: following its alias, a canary beside it, a switch without a failed request."""
