"""An invisible mark in the pictures: 32 bits that ordinary edits leave there. `mark` puts it in, `find` looks for it. NumPy and OpenCV alone.

A pattern of low contrast, the same in every frame, is added to the luminance. It is a tile that repeats: half of its frequencies are
always the same (by them a cut or scaled picture is brought back into register), the other half carry the payload, coded.
"""
