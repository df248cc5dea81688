"""What a person who starts a training can mend."""

from media.user_error import UserError


class TrainingError(UserError, ValueError):
    """A training that cannot run with these settings, weights or machines; the message says which to change."""
