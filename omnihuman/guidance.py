r"""Classifier-free guidance on text and audio, jointly or with a scale for each, annealed over the sampling steps.

$v = v(\varnothing) + s_{text} (v(text) - v(\varnothing)) + s_{audio} (v(text, audio) - v(text))$

Reference, motion frames and pose stay in every branch (OmniHuman-1 section 3.4: on audio and text only). With equal scales the
middle branch cancels, which is joint guidance. A high scale late in sampling wrinkles faces and a low one weakens lip-sync,
hence the annealing. The paper's one number is 6.5 (v3); that it falls to 3.5 in a line is a workable choice, not the paper's.
"""

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from diffusers.configuration_utils import register_to_config
from diffusers.guiders.guider_utils import BaseGuidance, GuiderOutput
from torch import Tensor

from omnihuman.errors import InputError

Annealing = Literal["linear", "cosine", "constant"]
ANNEALING = ("linear", "cosine", "constant")
# Branches by what stays in them, in diffusers' naming of predictions.
BRANCHES = ("pred_cond", "pred_without_audio", "pred_uncond")


def guided_velocity(conditional: Tensor, unconditional: Tensor, scale: float) -> Tensor:
    """v_uncond + scale * (v_cond - v_uncond), any shape."""
    # In the order of diffusers' WanPipeline, so that both round alike.
    return unconditional + scale * (conditional - unconditional)


def annealed_scale(step: int, steps: int, start: float, end: float, annealing: Annealing = "linear") -> float:
    """The scale at step 0 to `steps - 1`: `start` at the first, `end` at the last.

    Args:
        step, steps: which of how many.
        start, end: scales.
        annealing: "linear"; "cosine" leaves `start` and reaches `end` slowly; "constant" stays at `start`.

    Raises:
        InputError: another annealing.
    """
    if annealing not in ANNEALING:
        raise InputError(f"annealing is one of {', '.join(ANNEALING)}, got {annealing!r}")
    if steps == 1 or annealing == "constant":
        return start
    progress = step / (steps - 1)
    if annealing == "cosine":
        progress = (1 - math.cos(math.pi * progress)) / 2
    return start + (end - start) * progress


def branch_weights(text_scale: float, audio_scale: float, text: bool = True, audio: bool = True) -> dict[str, float]:
    """How much each branch counts; the weights sum to 1, and a branch without weight is left out, since it need not run.

    Args:
        text_scale, audio_scale: 1 is no guidance.
        text, audio: whether the condition is on. Where one is off, two branches are the same, and their weights add.
    """
    weights = dict(zip(BRANCHES, (audio_scale, text_scale - audio_scale, 1.0 - text_scale), strict=True))
    if not audio:
        weights["pred_cond"] += weights.pop("pred_without_audio")
    elif not text:
        weights["pred_uncond"] += weights.pop("pred_without_audio")
    if not audio and not text:
        weights = {"pred_cond": 1.0}
    return {name: weight for name, weight in weights.items() if weight != 0.0 or name == "pred_cond"}


def record_of_guidance(guidance: "OmniHumanGuidance | None") -> dict[str, Any]:
    """Its settings for a file's record; empty without guidance."""
    return {} if guidance is None else {k: v for k, v in guidance.config.items() if not k.startswith("_")}


class OmniHumanGuidance(BaseGuidance):
    """The module's equation as one of diffusers' guiders. Scales are those at the first and at the last step.

    Args:
        text_scale, text_scale_end: on text.
        audio_scale, audio_scale_end: on audio.
        annealing: "linear", "cosine" or "constant".
        start, stop: share of the steps between which guidance is on; outside it one branch runs.
        enabled: as in every guider.

    Example:
        >>> guidance = OmniHumanGuidance(text_scale=3.0, text_scale_end=2.0)
        >>> frames = pipe(prompt, image=image, audio=sound, num_inference_steps=2, guidance=guidance).frames
    """

    _input_predictions = list(BRANCHES)

    @register_to_config
    def __init__(
        self,
        text_scale: float = 6.5,
        text_scale_end: float = 3.5,
        audio_scale: float = 6.5,
        audio_scale_end: float = 3.5,
        annealing: Annealing = "linear",
        start: float = 0.0,
        stop: float = 1.0,
        enabled: bool = True,
    ):
        super().__init__(start, stop, enabled)
        annealed_scale(0, 1, 1.0, 1.0, annealing)
        self.text_scale, self.text_scale_end = text_scale, text_scale_end
        self.audio_scale, self.audio_scale_end = audio_scale, audio_scale_end
        self.annealing: Annealing = annealing
        self._text_is_on, self._audio_is_on = True, True

    @classmethod
    def joint(cls, scale: float, end: float | None = None, annealing: Annealing = "linear") -> "OmniHumanGuidance":
        """One scale for text and audio, annealed to `end`, by default the same."""
        end = scale if end is None else end
        return cls(scale, end, scale, end, annealing)

    def set_conditions(self, text: bool, audio: bool) -> None:
        """Say which of the guided conditions are on in what will be sampled."""
        self._text_is_on, self._audio_is_on = text, audio

    def weights_at(self, step: int, steps: int) -> dict[str, float]:
        """`branch_weights` of a step, of `steps` in all."""
        if not self._enabled or not int(self._start * steps) <= step < int(self._stop * steps):
            return {"pred_cond": 1.0}
        text = annealed_scale(step, steps, self.text_scale, self.text_scale_end, self.annealing)
        audio = annealed_scale(step, steps, self.audio_scale, self.audio_scale_end, self.annealing)
        return branch_weights(text, audio, self._text_is_on, self._audio_is_on)

    def prepare_inputs(self, data: Mapping[str, Any]) -> list[Any]:
        """One block of inputs per branch that has a weight at the current step.

        Args:
            data: by name, a tensor that every branch gets, or a triple: all conditions, without audio, without audio and text.
        """
        return [self._prepare_batch(dict(data), BRANCHES.index(name), name) for name in self._weights()]

    def forward(self, **predictions: Tensor) -> GuiderOutput:
        """The guided prediction of the branches' predictions, each named as in `BRANCHES`."""
        weights = self._weights()
        conditional, others = predictions["pred_cond"], [name for name in weights if name != "pred_cond"]
        if not others:
            guided = conditional
        elif len(others) == 1:
            guided = guided_velocity(conditional, predictions[others[0]], weights["pred_cond"])
        else:
            guided = torch.stack([weight * predictions[name] for name, weight in weights.items()]).sum(0)
        return GuiderOutput(pred=guided, pred_cond=conditional, pred_uncond=predictions.get("pred_uncond"))

    @property
    def is_conditional(self) -> bool:
        """Whether the branch prepared last is the one with every condition."""
        return self._count_prepared == 1

    @property
    def num_conditions(self) -> int:
        """Evaluations of the model at the current step."""
        return len(self._weights())

    def _weights(self) -> dict[str, float]:
        if self._step is None or self._num_inference_steps is None:
            raise ValueError(
                "call set_state(step, num_inference_steps, timestep) first: guidance is annealed over the steps"
            )
        return self.weights_at(self._step, self._num_inference_steps)
