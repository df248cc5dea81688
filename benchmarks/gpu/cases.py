"""What is measured, in the order of its worth: a run that is out of time leaves out the last."""

from dataclasses import dataclass, field
from typing import Literal

from profiles import Profile, load_profile

# The whole run: what an H100 or H200 is lent for.
MINUTES = 8.0


@dataclass(frozen=True)
class Case:
    """One process: what it runs and with which settings of the profile.

    Attributes:
        name: of the row.
        kind: "step" is a training step of stage 3, "bare" our transformer without conditions beside diffusers' Wan, "adversarial" one
            update of discriminator and generator, "generation" one sampling step and both decoders.
        overrides: of the profile, as at the command line.
        attention: diffusers' attention back end; None takes PyTorch's choice.
        seconds: longest time it may take.
    """

    name: str
    kind: Literal["step", "bare", "adversarial", "generation"]
    overrides: tuple[str, ...] = ()
    attention: str | None = None
    seconds: float = 75.0


def _step(name: str, *overrides: str, attention: str | None = None, seconds: float = 60.0) -> Case:
    return Case(name, "step", overrides, attention, seconds)


@dataclass(frozen=True)
class Shape:
    """The profile that is measured, and what is changed in it.

    Attributes:
        profile: a shipped profile's name.
        overrides: of every case.
        slim_decoder: channels of the narrow decoder.
        repeats: timed rounds of a case, after one that is not counted.
    """

    profile: str
    overrides: tuple[str, ...] = field(default=())
    slim_decoder: int = 48
    repeats: int = 5

    def settings(self, case: Case) -> Profile:
        """The profile of a case."""
        return load_profile(self.profile, [*self.overrides, "engine.zero_stage=1", *case.overrides])


ALONE = (
    "transformer.base=null",
    "engine.ranks=1",
    "engine.micro_batch=1",
)
WHOLE = Shape("wan2.1-1.3b", ALONE, repeats=3)
# The same code in seconds on a CPU: head width, dtype and accumulation stay, depth, width and pixels are cut.
DRY = Shape(
    "wan2.1-1.3b",
    (
        *ALONE,
        "transformer.num_layers=3",
        "transformer.num_attention_heads=1",
        "transformer.ffn_dim=64",
        "transformer.text_dim=16",
        "transformer.audio_dim=8",
        "transformer.audio_layers=2",
        "encoders.audio_states=null",  # as many as the layers
        "encoders.text_tokens=8",
        "video.height=32",
        "video.width=32",
        "video.frames=5",
        "video.buckets=[]",
    ),
    slim_decoder=4,
    repeats=1,
)

CASES = (
    _step("ZeRO 1, recomputed activations"),
    Case("beside bare Wan", "bare"),
    Case("adversarial update, videos", "adversarial", seconds=90.0),
    Case("generation in one step", "generation", seconds=90.0),
    _step("ZeRO 2", "engine.zero_stage=2"),
    _step("ZeRO 3", "engine.zero_stage=3"),
    _step("compiled blocks", "engine.compile_blocks=true", seconds=120.0),
    _step("cuDNN's attention", attention="_native_cudnn"),
    _step("PyTorch's flash attention", attention="_native_flash"),
    _step("PyTorch's efficient attention", attention="_native_efficient"),
    _step("activations kept", "engine.activation_checkpointing=false"),
    # Two sizes beside the whole one, for the planner's error.
    _step("half the layers", "transformer.num_layers=15"),
    _step("half the width", "transformer.num_attention_heads=6", "transformer.ffn_dim=4480"),
)
REFERENCE = CASES[0]  # whose MFU the plan's seconds of the others go by
