"""What only answers: encoding of clips and generation of videos, traced on one GPU."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModel, PretrainedConfig, UMT5Config, UMT5EncoderModel, Wav2Vec2Config

from curation.bucket import TILE
from curation.features.encoders import windows_at_once
from curation.features.text_features import BATCH
from media.speech.level import RATE
from omnihuman.autoencoder import decode_video, encode_video
from omnihuman.guidance import branch_weights
from profiles import Profile, ProfileError, resolve_source
from profiles.schema import Bucket
from training.plan.decoder_passes import FRAMES, autoencoder_configuration, fake_autoencoder, profile_grid
from training.plan.passes import largest_bucket
from training.plan.stand_ins import cast, fake_batch, fake_transformer
from training.plan.trace import Traced, at_depth, trace, without_bytes

# Sizes of what the profiles of published size name, for machines on which the folders are not: google/umt5-xxl as Wan2.1 has it,
# facebook/wav2vec2-base-960h and -large-960h by their width.
UMT5 = {"d_model": 4096, "d_ff": 10240, "d_kv": 64, "num_heads": 64, "num_layers": 24, "vocab_size": 256384}
WAV2VEC = {
    768: {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "intermediate_size": 3072},
    1024: {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096},
}


@dataclass(frozen=True)
class Answer:
    """Something that networks are asked.

    Attributes:
        asset: whose work it is.
        what: in words.
        weights: bytes of the networks.
        traced: of one answer.
        count: windows, captions or clips of one answer.
        beside: bytes of networks that lie on the device meanwhile.
        shared: windows that each of the answer's serves: a caption all of its clip's.
    """

    asset: str
    what: str
    weights: float
    traced: Traced
    count: int
    beside: float = 0.0
    shared: int = 1

    @property
    def peak(self) -> float:
        """Bytes."""
        return self.weights + self.beside + self.traced.peak


def answers(profile: Profile) -> list[Answer]:
    """Encoding by each encoder, then generation by teacher and student."""
    return [*encoding(profile), *generation(profile)]


def encoding(profile: Profile) -> list[Answer]:
    """Of the encoders of `condition_features`, which lie on the GPU together: the autoencoder in bfloat16, text in what is trained in, sound in
    float32."""
    bucket = largest_bucket(profile)
    windows = _windows_at_once(profile, bucket)
    seen, weights = _autoencoder(profile, bucket, windows, encodes=True)
    rows = [
        Answer("condition_features", f"autoencoder, {_count(windows, 'window')}", weights, seen, windows),
        _in_depth(profile, "text encoder", f"{BATCH} captions", BATCH, *_text(profile)),
        _in_depth(profile, "audio encoder", _count(windows, "window"), windows, *_audio(profile, bucket, windows)),
    ]
    rows[1] = replace(rows[1], shared=profile.video.windows_per_clip)
    all_weights = sum(row.weights for row in rows)
    return [replace(row, beside=all_weights - row.weights) for row in rows]


def _windows_at_once(profile: Profile, bucket: Bucket) -> int:
    with without_bytes():
        autoencoder = fake_autoencoder(autoencoder_configuration(profile))
        return windows_at_once(autoencoder, bucket, profile.curation.encoding_gib)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _in_depth(
    profile: Profile, name: str, what: str, count: int, network: Callable[[int], Any], run: Callable[[Any], None]
) -> Answer:
    with without_bytes():
        models = {depth: network(depth) for depth in (1, 2)}
        traced = {depth: trace(partial(run, model), [model]) for depth, model in models.items()}
        depth, sizes = _depth(profile, name), {d: _bytes(model) for d, model in models.items()}
    weights = sizes[1] + (sizes[2] - sizes[1]) * (depth - 1)
    return Answer("condition_features", f"{name}, {what}", weights, at_depth(traced, depth), count)


def generation(profile: Profile) -> list[Answer]:
    """Of `generated_videos`: transformer and autoencoder in bfloat16, without the encoders, which have then done their part."""
    bucket, config = largest_bucket(profile), profile.evaluation
    forward, weights = _forward(profile, bucket, config.batch_size)
    shown, decoder = _autoencoder(profile, bucket, config.batch_size, encodes=False)
    branches = len(branch_weights(config.guidance_scale, config.guidance_scale))
    clips = config.batch_size
    teacher, student = forward.times(config.teacher_steps * branches).then(shown), forward.then(shown)
    many = f"{config.teacher_steps} steps x {branches} branch{'es' if branches > 1 else ''}"
    return [
        Answer("generated_videos", f"teacher, {many}", weights + decoder, teacher, clips),
        Answer("generated_videos", "student, 1 step", weights + decoder, student, clips),
    ]


def _forward(profile: Profile, bucket: Bucket, count: int) -> tuple[Traced, float]:
    traced, sizes = {}, {}
    for depth in (1, 2):
        with without_bytes():
            model = fake_transformer(profile, depth, again=False).eval().requires_grad_(False)
            cast(model, torch.bfloat16)

            @torch.no_grad()
            def run(model: Any = model) -> None:
                batch = fake_batch(profile, bucket, count, profile.stage_3.ratios, torch.bfloat16)
                model(batch.noise, batch.uniform, return_dict=False, **batch.conditions())

            traced[depth], sizes[depth] = trace(run, [model]), _bytes(model)
    layers = profile.transformer.num_layers
    return at_depth(traced, layers), sizes[1] + (sizes[2] - sizes[1]) * (layers - 1)


def _autoencoder(profile: Profile, bucket: Bucket, count: int, encodes: bool) -> tuple[Traced, float]:
    """It works through a video latent by latent, so two lengths say what all take."""
    with without_bytes():
        model = fake_autoencoder(autoencoder_configuration(profile))
        if encodes:
            model.enable_tiling(*TILE)

        def run(latents: int) -> None:
            if encodes:
                encode_video(model, torch.empty(count, 3, 4 * latents - 3, bucket.height, bucket.width))
            else:
                shape = profile_grid(profile).shape(4 * latents - 3, bucket.height, bucket.width)
                decode_video(model, torch.empty(count, *shape))

        traced = {latents: trace(partial(run, latents), [model]) for latents in FRAMES}
    return at_depth(traced, bucket.latent_frames), _bytes(model)


def _text(profile: Profile) -> tuple[Callable[[int], Any], Callable[[Any], None]]:
    configuration, tokens = text_configuration(profile), profile.encoders.text_tokens

    def network(depth: int) -> Any:
        config = type(configuration)(**{**configuration.to_dict(), "num_layers": depth, "num_hidden_layers": depth})
        model = UMT5EncoderModel(config) if config.model_type == "umt5" else AutoModel.from_config(config)
        if profile.engine.precision == "bf16":
            cast(model, torch.bfloat16)
        return model.eval().requires_grad_(False)

    @torch.no_grad()
    def run(model: Any) -> None:
        ids = torch.zeros((BATCH, tokens), dtype=torch.long)
        model(input_ids=ids, attention_mask=torch.ones_like(ids))

    return network, run


def _audio(profile: Profile, bucket: Bucket, windows: int) -> tuple[Callable[[int], Any], Callable[[Any], None]]:
    configuration, samples = audio_configuration(profile), round(bucket.frames / profile.video.fps * RATE) + 400

    def network(depth: int) -> Any:
        config = type(configuration)(**{**configuration.to_dict(), "num_hidden_layers": depth})
        return AutoModel.from_config(config).eval().requires_grad_(False)

    @torch.no_grad()
    def run(model: Any) -> None:
        model(torch.empty(windows, samples), output_hidden_states=True)

    return network, run


def text_configuration(profile: Profile) -> PretrainedConfig:
    """Of the folder that the profile names, else UMT5-XXL's, whose width is Wan2.1's."""
    return _folder_configuration(profile.encoders.text) or UMT5Config(**UMT5)


def audio_configuration(profile: Profile) -> PretrainedConfig:
    """Of the folder that the profile names, else the published wav2vec 2.0's of that width."""
    published = WAV2VEC.get(profile.transformer.audio_dim, WAV2VEC[768])
    return _folder_configuration(profile.encoders.audio) or Wav2Vec2Config(**published)


def _folder_configuration(source: str) -> PretrainedConfig | None:
    try:
        folder = Path(resolve_source(source))
    except ProfileError:
        return None
    return AutoConfig.from_pretrained(str(folder)) if (folder / "config.json").is_file() else None


def _depth(profile: Profile, name: str) -> int:
    if name == "audio encoder":
        return int(audio_configuration(profile).num_hidden_layers)
    configuration = text_configuration(profile)
    return int(getattr(configuration, "num_layers", None) or configuration.num_hidden_layers)


def _bytes(model: Any) -> float:
    return float(sum(p.numel() * p.element_size() for p in model.parameters()))
