"""What only answers: encoding of clips and generation of videos, traced on one GPU."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoConfig, AutoModel, PretrainedConfig, UMT5Config, Wav2Vec2Config

from curation.bucket import TILE
from curation.features.encoders import windows_at_once
from curation.features.text_features import BATCH
from media.speech.level import RATE
from omnihuman.autoencoder import decode_video, enable_tiles, encode_video, profile_grid, takes_pictures
from omnihuman.bases.quantised import weight_bytes
from omnihuman.conditions.text import HALVES
from omnihuman.guidance import branch_weights
from profiles import Profile, ProfileError, resolve_source
from profiles.schema import Bucket
from training.plan.decoder_passes import FRAMES, autoencoder_configuration, fake_autoencoder
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
    rows = [Answer("condition_features", f"autoencoder, {_count(windows, 'window')}", weights, seen, windows)]
    for number, configuration in enumerate(_text_configurations(profile), start=1):
        name, depth = "text encoder" if number == 1 else f"text encoder {number}", _layers(configuration)
        answer = _in_depth(name, f"{BATCH} captions", BATCH, depth, *_text(profile, configuration))
        rows.append(replace(answer, shared=profile.video.windows_per_clip))
    depth = int(audio_configuration(profile).num_hidden_layers)
    heard = _audio(profile, bucket, windows)
    rows.append(_in_depth("audio encoder", _count(windows, "window"), windows, depth, *heard))
    all_weights = sum(row.weights for row in rows)
    return [replace(row, beside=all_weights - row.weights) for row in rows]


def _windows_at_once(profile: Profile, bucket: Bucket) -> int:
    with without_bytes():
        autoencoder = fake_autoencoder(autoencoder_configuration(profile))
        return windows_at_once(autoencoder, bucket, profile.curation.encoding_gib)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _in_depth(
    name: str, what: str, count: int, depth: int, network: Callable[[int], Any], run: Callable[[Any], None]
) -> Answer:
    with without_bytes():
        models = {d: network(d) for d in (1, 2)}
        traced = {d: trace(partial(run, model), [model]) for d, model in models.items()}
        sizes = {d: float(weight_bytes(model)) for d, model in models.items()}
    weights = sizes[1] + (sizes[2] - sizes[1]) * (depth - 1)
    return Answer("condition_features", f"{name}, {what}", weights, at_depth(traced, depth), count)


def generation(profile: Profile) -> list[Answer]:
    """Of `generated_videos`: transformer and autoencoder in bfloat16, the first as `evaluation.quantise` says, without the encoders, which have then done their
    part."""
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
    quantised = "" if profile.evaluation.quantise == "none" else profile.evaluation.quantise
    for depth in (1, 2):
        with without_bytes():
            model = fake_transformer(profile, depth, again=False).eval().requires_grad_(False)
            cast(model, torch.bfloat16)

            @torch.no_grad()
            def run(model: Any = model) -> None:
                batch = fake_batch(profile, bucket, count, profile.stage_3.ratios, torch.bfloat16)
                model(batch.noise, batch.uniform, return_dict=False, **batch.conditions())

            traced[depth], sizes[depth] = trace(run, [model]), float(weight_bytes(model, quantised))
    layers = profile.transformer.units
    return at_depth(traced, layers), sizes[1] + (sizes[2] - sizes[1]) * (layers - 1)


def _autoencoder(profile: Profile, bucket: Bucket, count: int, encodes: bool) -> tuple[Traced, float]:
    """It works through a video latent by latent, one of pictures by as many pictures, so two lengths say what all take."""
    with without_bytes():
        model = fake_autoencoder(autoencoder_configuration(profile))
        if encodes:
            enable_tiles(model, *TILE)

        def run(latents: int) -> None:
            clips, length = (
                (count * latents, 1) if takes_pictures(model) else (count, profile_grid(profile).frames(latents))
            )
            if encodes:
                encode_video(model, torch.empty(clips, 3, length, bucket.height, bucket.width))
            else:
                shape = profile_grid(profile).shape(length, bucket.height, bucket.width)
                decode_video(model, torch.empty(clips, *shape))

        traced = {latents: trace(partial(run, latents), [model]) for latents in FRAMES}
    return at_depth(traced, bucket.latent_frames), float(weight_bytes(model))


def _text(profile: Profile, configuration: PretrainedConfig) -> tuple[Callable[[int], Any], Callable[[Any], None]]:
    tokens = min(profile.encoders.text_tokens, getattr(configuration, "max_position_embeddings", None) or 10**6)

    def network(depth: int) -> Any:
        config = type(configuration)(**{**configuration.to_dict(), "num_layers": depth, "num_hidden_layers": depth})
        half = HALVES.get(config.model_type)
        model = getattr(transformers, half)(config) if half else AutoModel.from_config(config)
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


def _text_configurations(profile: Profile) -> list[PretrainedConfig]:
    """Of every text encoder; of the second and third, which are smaller than the words', only where their folders are here."""
    others = [_folder_configuration(source) for source in profile.encoders.texts[1:]]
    return [text_configuration(profile), *(found for found in others if found is not None)]


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


def _layers(configuration: PretrainedConfig) -> int:
    return int(getattr(configuration, "num_layers", None) or configuration.num_hidden_layers)
