"""What says of a file that a model made it: signed statements (C2PA), an invisible mark in the pictures; and what reads them.

No torch. Names stand in their modules: `signing` writes, `verify` reads, `certificates` has the keys, `watermark` the mark.
"""
