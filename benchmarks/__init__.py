"""Speed and memory, measured; nothing here asserts a time."""

import omnihuman  # noqa: F401 - before torch: how long its threads wait, as in what is measured
