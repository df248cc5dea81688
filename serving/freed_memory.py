"""Blocks of memory that a video's segments free go back to the system, so that a long video needs no more than a short one."""

import ctypes
import os

LARGE = 4 << 20  # bytes; a segment of the laptop's model has blocks of about 10 MiB
KEPT = 64 << 20  # bytes at the heap's end that stay, for the smaller blocks of the next segment
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # M_TRIM_THRESHOLD and M_MMAP_THRESHOLD of glibc's malloc.h
VARIABLE = "MALLOC_MMAP_THRESHOLD_"  # glibc's own, which is left alone where it is set


def return_large_blocks() -> bool:
    """Let this process map blocks of 4 MiB and more one by one, for good; returns whether its C library can.

    By itself glibc raises that limit to the largest block that was freed, up to 32 MiB. What is smaller then lies in a heap with holes, and
    how many pages a segment needs is chance: the highest of 400 segments is higher than the highest of 14
    (docs/results/2026-11-29-joints-of-long-videos.md#memory).
    """
    if os.environ.get(VARIABLE):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    return mallopt is not None and bool(mallopt(MMAP_THRESHOLD, LARGE) and mallopt(TRIM_THRESHOLD, KEPT))
