"""What a person who calls the model can mend."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from media.user_error import UserError


class InputError(UserError, ValueError):
    """Something that was given does not fit the model, or other things that were given; the message says what to change."""


class MissingWeights(UserError, FileNotFoundError):
    """Weights that are not where they are said to be; the message says what makes or fetches them."""


@contextmanager
def reading_weights(place: str | Path) -> Iterator[None]:
    """Say in one sentence what diffusers and transformers say in many of a folder or hub id that holds no usable weights.

    Raises:
        MissingWeights: they raised an OSError; it names `place`.
    """
    try:
        yield
    except OSError as error:
        first = str(error).strip().splitlines()[0]
        raise MissingWeights(f"no weights could be read at {place}: {first}") from error
