"""What a node says where something that was given cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from media.user_error import UserError, is_mendable


class NodeError(UserError, ValueError):
    """Something at a node that a person can mend; the message begins with the node's title, as ComfyUI shows it."""


@contextmanager
def at_node(title: str) -> Iterator[None]:
    """Run a node's work: outside of the inference mode in which ComfyUI's executor calls it, so that what is loaded can be used in any other mode;
    what a person can mend is one sentence that begins with the node's title.

    Raises:
        NodeError: the project's own checks refused something.
    """
    try:
        with torch.inference_mode(False), torch.no_grad():
            yield
    except Exception as error:
        if not is_mendable(error):
            raise
        raise NodeError(f"{title}: {error}") from error
