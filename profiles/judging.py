"""What judges a model: frozen benchmarks, the networks that look at videos, and what a challenger must reach on them."""

from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from profiles.base import Device, Positive, Strict

PUPPETS, RENDERED_PEOPLE, PACKAGED, HELD_OUT, TEST_SET = (
    "puppets",
    "rendered_people",
    "packaged",
    "held_out",
    "test_set",
)
DRAWN = (PUPPETS, RENDERED_PEOPLE)  # whose faces are nobody's
# A test set is named as `omnihuman testset build` names it.
BenchmarkName = Annotated[
    str, Field(pattern=rf"^({PUPPETS}|{RENDERED_PEOPLE}|{PACKAGED}|{HELD_OUT}|{TEST_SET}:[A-Za-z0-9][A-Za-z0-9._-]*)$")
]


def benchmark_kind(name: str) -> str:
    """`puppets`, `rendered_people`, `packaged`, `held_out` or `test_set`."""
    return name.partition(":")[0]


def benchmark_folder(name: str) -> str:
    """The folder of a benchmark below those of the assets that are about it: `test_set:ravdess` is `test_set-ravdess`."""
    return name.replace(":", "-")


def _each_once(names: list[str]) -> list[str]:
    if repeated := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(repeated)} is listed twice")
    return names


class JudgesConfig(Strict):
    """Published networks by path (docs/reference/metrics.md names the files); null is one that is not there, and then neither are its
    metrics. What ships in packages is used where it is installed."""

    inception: str | None = None
    i3d: str | None = None
    arcface: str | None = None
    syncnet: str | None = None
    qalign: str | None = None


class SamplingConfig(Strict):
    """How a model of many steps is sampled; saved with its pipeline, and said of everything that is made with it.

    Attributes:
        solver: `euler`, or the `unipc` that Wan's own pipelines hold.
        shift: s of the steps' times, s t / (1 + (s - 1) t): steps where little is decided are longer. Wan2.1 samples at 3 for 480p and
            at 5 for 720p. At 1, which is none, 25 steps make 57 % of the deviation of what all positions share, at 3 they make 83 %, at 5 88 %.
    """

    solver: Literal["euler", "unipc"] = "euler"
    shift: Annotated[float, Field(gt=0.0)] = 1.0


class EvaluationConfig(Strict):
    """The held-out benchmarks and how each model samples on them.

    Attributes:
        benchmarks: frozen sets, the first of them the one that tables open with: `puppets` and `rendered_people` (with exact
            truth), `packaged` (real clips out of packages), `held_out` (people of the inbox whom no training sees), `test_set:NAME` (`omnihuman testset build`).
        held_out_people: share of the inbox's people, by the hash of who they are, whom no training sees; above 0 where `held_out` is listed.
        clips: samples of each benchmark at most; of puppets and rendered people exactly.
        seed: of puppets and rendered people, the noise and the bootstrap.
        networks: published networks that look at videos.
        sampling: solver and shift of the teacher.
        device: where models generate and networks judge: `cpu`, `cuda`, `cuda:1` and so on; `auto` is the first GPU if there is one.
        dtype: in which models compute; `auto` is float32 on a processor, and on a GPU `engine.precision`. Judges compute in float32.
        quantise: `int8` or `fp8` rounds the matrices of the transformer's blocks to 8 bits when a model is loaded to answer.
    """

    benchmarks: Annotated[list[BenchmarkName], Field(min_length=1), AfterValidator(_each_once)] = [PUPPETS]
    held_out_people: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    clips: Positive = 96
    seed: int = 50_000_000
    batch_size: Positive = 16
    teacher_steps: Positive = 20
    guidance_scale: float = 1.0
    bootstrap: Positive = 500
    networks: JudgesConfig = JudgesConfig()
    sampling: SamplingConfig = SamplingConfig()
    device: Device = "auto"
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    quantise: Literal["none", "int8", "fp8"] = "none"

    @model_serializer(mode="wrap")
    def _as_before(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Unshifted Euler, whole weights, and a device and dtype that nobody chose, go unsaid: what was made so stays current."""
        unsaid = (
            ("sampling", SamplingConfig().model_dump()),
            ("device", "auto"),
            ("dtype", "auto"),
            ("quantise", "none"),
        )
        return {key: value for key, value in values(self).items() if (key, value) not in unsaid}

    @model_validator(mode="after")
    def _somebody_is_held_out(self) -> Self:
        if HELD_OUT in self.benchmarks and not self.held_out_people:
            raise ValueError(
                f"benchmarks lists {HELD_OUT}, and held_out_people is 0: set the share of people whom no training sees, 0.05 say"
            )
        return self


class Criterion(Strict):
    """One number that a challenger must reach.

    Attributes:
        metric: of the registry (docs/reference/metrics.md); by default the criterion's own name.
        benchmark: one that the profile lists; by default the first.
        mode: of generation; by default the one in which the metric is read.
        min, max: the threshold; exactly one of them, the one that fits the metric's direction.
        relative: it may also not be worse than the champion's.
        slices: every slice of the benchmark must reach it too, within `slice_slack`.
    """

    metric: str
    benchmark: str = PUPPETS
    mode: str = ""
    min: float | None = None
    max: float | None = None
    relative: bool = True
    slices: bool = True

    @property
    def threshold(self) -> float:
        """Whichever of the two it has."""
        return self.min if self.min is not None else self.max  # type: ignore[return-value]

    @model_validator(mode="after")
    def _one_threshold(self) -> Self:
        if (self.min is None) == (self.max is None):
            raise ValueError("give min or max, and not both")
        return self


# Keys of versions up to 0.2, in homes and restore points that they left -> metric.
THRESHOLDS_BEFORE = {
    "mouth_correlation_min": "mouth_correlation",
    "missing_joints_max": "missing_joints",
    "missing_hands_max": "missing_hands",
    "colour_error_max": "colour_error",
    "joint_error_max": "joint_error_median",
}


class StreamingGate(Strict):
    """How far a streaming student may fall behind the one-step student that it comes from, and still become champion of its own name.

    Attributes:
        mouth_correlation_lost: by how much r of the mouth may be lower.
        mouth_over_floor: by how much r must be higher than with another clip's sound.
        joints: missing joints, and the error of those that are found, may be so many times as large.
        seam: the change from a latent to the next over the change within latents may be so many times as large.
    """

    mouth_correlation_lost: Annotated[float, Field(ge=0.0)] = 0.02
    mouth_over_floor: Annotated[float, Field(ge=0.0)] = 0.5
    joints: Annotated[float, Field(ge=1.0)] = 1.1
    seam: Annotated[float, Field(ge=1.0)] = 1.1


class GateConfig(Strict):
    """What a challenger must reach before it becomes champion.

    Attributes:
        criteria: by name. `evaluation.scoring.criteria` refuses an unknown metric or mode, and one that this profile cannot measure, before
            anything is trained.
        champion_margin: share of a threshold by which it may be worse than the champion.
        headline: by this criterion it must be better than the champion, beyond the champion's interval; null asks no such thing.
        slice_slack: share of a threshold by which a slice of the benchmark may miss it.
        streaming: the same for the streaming student, which is held against the one-step student.
    """

    criteria: Annotated[dict[str, Criterion], Field(min_length=1)]
    champion_margin: float = 0.02
    headline: str | None = None
    slice_slack: Annotated[float, Field(ge=0.0)] = 0.25
    streaming: StreamingGate = StreamingGate()

    @model_serializer(mode="wrap")
    def _as_before(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """A streaming student's bounds that nobody chose go unsaid: they are no part of what other models are judged by."""
        return {
            key: value
            for key, value in values(self).items()
            if (key, value) != ("streaming", StreamingGate().model_dump())
        }

    @model_validator(mode="before")
    @classmethod
    def _criteria_by_name(cls, values: Any) -> Any:
        """A criterion is named as its metric, unless it says another; thresholds as versions up to 0.2 wrote them become criteria."""
        if not isinstance(values, dict):
            return values
        criteria = values.get("criteria", {})
        named = {
            name: {"metric": name, **criterion} if isinstance(criterion, dict) else criterion
            for name, criterion in (criteria.items() if isinstance(criteria, dict) else ())
        }
        before = {key: metric for key, metric in THRESHOLDS_BEFORE.items() if key in values}
        for key, metric in before.items():
            named[metric] = {"metric": metric, **named.get(metric, {}), key.rpartition("_")[2]: values[key]}
        kept = {key: value for key, value in values.items() if key not in before}
        if before and not criteria:
            kept.setdefault("headline", "missing_joints" if "missing_joints" in named else None)
        return {**kept, "criteria": named}

    @model_validator(mode="after")
    def _headline_is_a_criterion(self) -> Self:
        if self.headline is not None and self.headline not in self.criteria:
            raise ValueError(f"headline is {self.headline}; choose null or one of {', '.join(self.criteria)}")
        return self
