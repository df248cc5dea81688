"""The `omnihuman` command line: one module a group of commands, read by `cli`."""
