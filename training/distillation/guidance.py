r"""The consistency teacher's velocity under classifier-free guidance with a scale for each of text and audio.

The weaker condition first, each against the branch without it:
$v = v(\varnothing) + s_{text} (v(text) - v(\varnothing)) + s_{audio} (v(text, audio) - v(text))$.
With equal scales the middle branch cancels, and this is the guidance that OmniHuman samples with. Reference and pose stay
in every branch (OmniHuman-1 v3 guides text and audio only). Where a pose drives the sample, what sound leaves open is settled,
and guidance only costs accuracy (docs/results/2026-11-27-guided-teacher.md): `posed: false` leaves such samples alone.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.guidance import guided_velocity
from profiles.schema import GuidanceConfig


@torch.no_grad()
def teacher_velocity(
    teacher: Callable[..., Any],
    x: Tensor,
    t: Tensor,
    conditions: ConditionInputs,
    null_text: Tensor,
    scales: GuidanceConfig,
) -> Tensor:
    """Guided velocity at `x` `(B, 16, F, h, w)`, t `(B,)` float32 in [0, 1], in as few evaluations as the scales allow.

    Args:
        conditions: of the samples.
        null_text: `(B, L, D)`, the null prompt of every sample. A sample whose text or audio is off already has the
            same branches, so guidance leaves it alone.
    """

    def velocity(given: ConditionInputs) -> Tensor:
        return teacher(x, t * 1000, return_dict=False, **given)[0].float()

    silent = conditions.without("audio")
    audio_scale = scales.text if conditions.audio is None else scales.audio
    full = velocity(conditions)
    if scales.text == audio_scale == 1.0:
        return full
    null = replace(silent, text=null_text)
    if scales.text == audio_scale:
        guided = guided_velocity(full, velocity(null), scales.text)
    else:
        unheard = velocity(silent)
        guided = unheard if scales.text == 1.0 else guided_velocity(unheard, velocity(null), scales.text)
        guided = guided + audio_scale * (full - unheard)
    if scales.posed or conditions.pose_mask is None:
        return guided
    posed = conditions.pose_mask.view(-1, *(1,) * (x.ndim - 1)) > 0
    return torch.where(posed, full, guided)
