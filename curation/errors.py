"""What a person can mend in curation."""

from media.user_error import UserError


class CurationError(UserError):
    """Something that curation cannot go on with; the message names the file and the remedy."""
