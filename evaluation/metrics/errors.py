"""What goes wrong with input that is to be scored."""

from media.user_error import UserError


class MetricError(UserError, ValueError):
    """Input that cannot be scored, or shards that do not belong together; the message names the clip or the metric."""
