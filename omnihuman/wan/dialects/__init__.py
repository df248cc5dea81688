"""Files of Wan weights that other tools write: what they are, and the same weights under the names that another tool reads."""
