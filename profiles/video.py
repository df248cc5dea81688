"""Shapes and rates of what is trained on and generated."""

from typing import Annotated, Any, Literal, Self

from pydantic import Field, SerializerFunctionWrapHandler, field_validator, model_serializer, model_validator

from profiles.base import Positive, Strict

# OmniHuman-1 section 3.4 joins segments by the last 5 frames of the one before.
MOTION_FRAMES = 5


class Bucket(Strict):
    """A shape that clips are brought to: pixels, and 4n+1 frames."""

    height: Positive = 64
    width: Positive = 64
    frames: Positive = 17
    # Pixels of a latent cell along an axis: the autoencoder's, checked against it where it is loaded. A token is 2 x 2 cells.
    stride: Positive = 8
    # Frames of a latent but the first, which is one: the autoencoder's, checked where it is loaded. Wan's encoder takes four frames at a time whatever they
    # become, so clips have 4n+1 of them with cells of two frames too.
    temporal_stride: Literal[1, 2, 4] = 4

    @field_validator("frames")
    @classmethod
    def _causal(cls, frames: int) -> int:
        if frames % 4 != 1:
            raise ValueError(f"the causal autoencoder takes 4n+1 frames, got {frames}")
        return frames

    @model_validator(mode="after")
    def _strides(self) -> Self:
        token = 2 * self.stride
        if self.height % token or self.width % token:
            raise ValueError(
                f"height and width must divide by {token} (stride {self.stride}, patch 2), got {self.height}x{self.width}"
            )
        return self

    @property
    def latent_frames(self) -> int:
        """Frame 0 gives latent 0, every four more frames (`temporal_stride`) one more latent."""
        return 1 + (self.frames - 1) // self.temporal_stride

    @property
    def frame_tokens(self) -> int:
        """Tokens of one latent frame: patches of 2 x 2 cells."""
        token = 2 * self.stride
        return self.height // token * (self.width // token)

    @model_serializer(mode="wrap")
    def _as_when_there_was_one_stride(self, values: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Wan2.1's go unsaid: what was made with them stays current."""
        unsaid = (("stride", 8), ("temporal_stride", 4))
        return {key: value for key, value in values(self).items() if (key, value) not in unsaid}


class VideoConfig(Bucket):
    """The main bucket (height, width, frames), rates in frames per second and Hz, and the other buckets, if any."""

    fps: float = 16.0
    sample_rate: Positive = 16_000
    # A reference frame lies at least this many frames outside the training window where the clip allows it
    # (OmniHuman-1.5 section 3: a reference from inside freezes motion). 0 takes any frame of the clip, inside too.
    reference_gap: Annotated[int, Field(ge=0)] = 4
    windows_per_clip: Positive = 4
    # All shapes that are trained on; empty is the main one alone. A clip goes to the nearest in aspect ratio that it fills.
    buckets: tuple[Bucket, ...] = ()
    # Batches of the other buckets hold as many samples as have the main one's tokens, rounded down to a multiple of this
    # times the accumulation steps. The number of ranks must divide it.
    batch_multiple: Positive = 1

    @model_validator(mode="before")
    @classmethod
    def _one_stride(cls, values: Any) -> Any:
        """Every bucket has the video's."""
        if not isinstance(values, dict):
            return values
        strides = {name: values[name] for name in ("stride", "temporal_stride") if name in values}
        buckets = [{**strides, **b} if isinstance(b, dict) else b for b in values.get("buckets", ())]
        return {**values, "buckets": buckets} if strides else values

    @model_validator(mode="after")
    def _main_is_a_bucket(self) -> Self:
        if self.buckets and self.main not in self.buckets:
            raise ValueError(
                f"buckets must list the main one too, {self.height}x{self.width}x{self.frames}: batch sizes count its samples"
            )
        if len(set(self.buckets)) < len(self.buckets):
            raise ValueError("buckets lists a shape twice")
        return self

    @property
    def main(self) -> Bucket:
        """The shape that height, width and frames give."""
        return Bucket(**{name: getattr(self, name) for name in Bucket.model_fields})

    @property
    def motion_latents(self) -> int:
        """Latents of the frames before a window, which are encoded by themselves."""
        return 1 + (MOTION_FRAMES - 1) // self.temporal_stride

    @property
    def all_buckets(self) -> tuple[Bucket, ...]:
        """Every shape, in the profile's order."""
        return self.buckets or (self.main,)

    def name_of(self, bucket: Bucket) -> str:
        """For example `64x64x17@16`: height, width, frames, rate."""
        return f"{bucket.height}x{bucket.width}x{bucket.frames}@{self.fps:g}"

    def only(self, bucket: Bucket) -> "VideoConfig":
        """The same rates with one bucket, for code that cuts or encodes one shape."""
        return self.model_copy(update={**bucket.model_dump(include={"height", "width", "frames"}), "buckets": ()})
