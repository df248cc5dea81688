"""Where the 133 keypoints of COCO-WholeBody lie (Jin et al. 2020), as far as metrics read them."""

LEFT_SHOULDER, RIGHT_SHOULDER = 5, 6
FACE = slice(23, 91)
HANDS = slice(91, 133)
CONFIDENT = 0.5  # a point counts as seen above this, as in the curation scores
