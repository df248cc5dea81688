"""Colours of skin, eyes, hair and cloth: textures that are painted from an identity's numbers, none of them anybody's."""
