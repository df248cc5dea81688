"""Rotary tables of packed tokens: positions that no video token has."""

import torch
from diffusers.models.transformers.transformer_wan import WanRotaryPosEmbed
from torch import Tensor

from omnihuman.errors import InputError

REFERENCE, MOTION = 0, 1
# Cosine and sine of every token, as the base's attention takes them.
Tables = tuple[Tensor, Tensor]


def rotary_of_packed(
    rope: WanRotaryPosEmbed,
    kind: int,
    packed: tuple[int, int, int],
    video: tuple[int, int, int],
    reference_position: str,
    reference_index: int,
) -> tuple[Tensor, Tensor]:
    """Cosine and sine of motion tokens at negative times, or of reference tokens far away or beside the frame.

    Args:
        rope: Wan's tables.
        kind: `REFERENCE` or `MOTION`.
        packed: latents, token rows and token columns to place.
        video: the same of the video they stand beside.
        reference_position: "far" is temporal index `reference_index` (Wan2.2-S2V); "zero" is no temporal rotation
            (OmniHuman-1 section 3.1), past the video's rows and columns.
        reference_index: used by "far".

    Raises:
        InputError: the video reaches the reference's index, or a position lies past the tables.
    """
    return rotary_at(rope, *places_of_packed(kind, packed, video, reference_position, reference_index))


def places_of_packed(
    kind: int,
    packed: tuple[int, int, int],
    video: tuple[int, int, int],
    reference_position: str,
    reference_index: int,
) -> tuple[range | list[int], range, range]:
    """Times, rows and columns for `rotary_of_packed`, whatever tables a base has. Raises the same."""
    count, rows, columns = packed
    if kind == MOTION:
        return range(-count, 0), range(rows), range(columns)
    if reference_position == "far":
        if video[0] > reference_index:
            raise InputError(
                f"{video[0]} video latents reach the reference's temporal index {reference_index}; "
                "raise reference_index or use reference_position='zero'"
            )
        return range(reference_index, reference_index + count), range(rows), range(columns)
    return [0] * count, range(video[1], video[1] + rows), range(video[2], video[2] + columns)


def rotary_at(rope: WanRotaryPosEmbed, times: range | list[int], rows: range, columns: range) -> tuple[Tensor, Tensor]:
    """`(1, N, 1, head_dim)` twice at any integer times; cosine is even and sine is odd, which gives negative times."""
    farthest = max(*(abs(i) for i in times), rows.stop - 1, columns.stop - 1)
    if farthest >= rope.max_seq_len:
        raise InputError(
            f"position {farthest} lies past the {rope.max_seq_len} of Wan's rotary tables: raise rope_max_seq_len"
        )
    shape = (len(times), len(rows), len(columns), -1)
    tables = []
    for table, sign in ((rope.freqs_cos, 1), (rope.freqs_sin, -1)):
        t, h, w = table.split([rope.t_dim, rope.h_dim, rope.w_dim], dim=1)
        parts = (
            torch.stack([t[i] if i >= 0 else sign * t[-i] for i in times])[:, None, None].expand(shape),
            h[rows.start : rows.stop][None, :, None].expand(shape),
            w[columns.start : columns.stop][None, None].expand(shape),
        )
        tables.append(torch.cat(parts, dim=-1).reshape(1, len(times) * len(rows) * len(columns), 1, -1))
    return tables[0], tables[1]
