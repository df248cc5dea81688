"""What clips, weights and checkpoints take on disk."""

from profiles import Profile
from training.plan.passes import counted_at_full_depth, largest_bucket
from training.plan.stand_ins import fake_transformer
from training.plan.states import count_parameters
from training.plan.trace import without_bytes

HALF, FLOAT = 2, 4
CAPTION = 100  # tokens of a caption; nobody counted them on a corpus


def windows_per_hour(profile: Profile) -> float:
    """Training samples of an hour of clips whose whole length is cut into windows: no clip has more."""
    bucket = largest_bucket(profile)
    return 3600 * profile.video.fps / bucket.frames


def feature_bytes(profile: Profile) -> float:
    """Of one window in a features file (docs/reference/on-disk.md): latents in float16 or 8 bits, sound in float16, keypoints in float32, and
    its share of a caption, which a clip has once."""
    bucket, model = largest_bucket(profile), profile.transformer
    latent = model.latent_channels * (bucket.height // bucket.stride) * (bucket.width // bucket.stride)
    width = 1 if profile.encoders.latents == "int8" else HALF
    text = min(CAPTION, profile.encoders.text_tokens) * model.text_dim / profile.video.windows_per_clip
    sound = bucket.frames * model.audio_layers * model.audio_dim
    seen = width * latent * (bucket.latent_frames + 1 + profile.video.motion_latents)
    return seen + HALF * (text + sound) + FLOAT * bucket.frames * 133 * 3


def checkpoint_bytes(profile: Profile, trained: float, networks: int) -> float:
    """Of a running training's checkpoints: weights, master weights, two moments and an average, of the last ones, the best and the
    sound one.

    Args:
        profile: how many are kept.
        trained: parameters of all engines.
        networks: engines.
    """
    width = HALF if profile.engine.precision == "bf16" else FLOAT
    one = trained * (width + 3 * FLOAT) + trained / networks * FLOAT
    return one * (profile.engine.keep_checkpoints + 2)


def checkpoint_bytes_of_all(profile: Profile) -> float:
    """Of the training that keeps most, without tracing any: an adversarial one, of generator and discriminator, whose heads are small."""
    optimizer = profile.stage_1.optimizer
    with without_bytes():
        one = counted_at_full_depth(
            profile, lambda depth: count_parameters(fake_transformer(profile, depth), optimizer)
        )
    return checkpoint_bytes(profile, 2.0 * one.trained, 2)
