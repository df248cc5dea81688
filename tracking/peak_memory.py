"""What this process took of its machine's memory."""

import resource


def peak_memory_gib() -> float:
    """The most that this process ever held in memory at once (its resident set), GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
