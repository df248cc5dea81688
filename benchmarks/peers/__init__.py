"""Published tools that do what parts of this project do, beside those parts, in one run on the same files: `python -m benchmarks.peers`.

Each side of a comparison is a process of its own, ours in this environment and the peer's in one that is made for it. They work in turns.
"""
