"""Work over clips by actors of a Ray cluster, with the functions and the bytes of one machine.

`actors` is `curation.workers.map_over_clips` on a cluster; `encoders` are the frozen encoders, each set in an actor of its own.
"""
