"""The 133 keypoints of a person as numbers: as a file, as a face, as the way a head is turned."""
