"""Which vertices of the base mesh hm08 are the 68 face points (iBUG 300-W), in the mesh's own numbers."""

# Found by the points of a published face mesh network on 60 neutral faces that were rendered from the front; each point is the vertex that
# lies nearest to it on average, left and right mirrored by the mesh's own table. Points of the lips were found on open mouths: on closed
# ones the lower lip's inner edge is taken for the upper's.
FACE_VERTICES = (
    # jaw, right ear to left ear
    871, 5622, 5600, 5241, 5240, 762, 5223, 5292, 5225, 11898, 11833, 7481, 11849, 11850, 12197, 12219, 7576,
    # brows
    719, 225, 224, 205, 208, 6983, 6980, 6998, 6999, 7442,
    # nose: bridge, base
    132, 131, 201, 5134, 384, 313, 312, 7076, 7144,
    # eyes
    22, 7, 55, 66, 6772, 1067, 6850, 6839, 6791, 6806, 7759, 13368,
    # lips: outer edge
    368, 5354, 456, 466, 7215, 11956, 7128, 7235, 7241, 492, 486, 480,
    # lips: inner edge
    414, 522, 474, 7268, 7174, 7279, 540, 534,
)  # fmt: skip
