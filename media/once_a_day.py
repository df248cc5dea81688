"""A log in which what is looked at every half minute is told once a day."""

import logging
import time

DAY = 86_400.0
REMEMBERED = 10_000  # messages


class OnceADay(logging.Filter):
    """Passes a message over that this logger said within the last day. `logger.addFilter(OnceADay())`."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is news."""
        message, now = record.getMessage(), time.monotonic()
        said = self._said.pop(message, None)
        again = said is not None and now - said < DAY
        self._said[message] = said if again and said is not None else now
        if len(self._said) > REMEMBERED:
            del self._said[next(iter(self._said))]
        return not again
