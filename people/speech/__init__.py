"""Speech whose every phone is known in time: a pack of recordings of a synthesiser, the mouth that says it, and sound that does not fit."""
