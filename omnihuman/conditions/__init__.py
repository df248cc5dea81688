"""Text, reference, audio and pose: from what a person has to what the transformer takes."""
