"""One-step generation against the 25-step teacher with guidance: transformer time, whole pipeline, the decoder's share."""

import time
from dataclasses import dataclass

import torch

from benchmarks.generation.transformer import SIZES
from omnihuman import OmniHumanTransformer3DModel
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from profiles import load_profile

# APT section 5.2 compares with the diffusion model at 25 steps; its guidance doubles each.
TEACHER_STEPS, TEACHER_SCALE = 25, 7.5


@dataclass(frozen=True)
class Sampling:
    """Fastest seconds for one batch: `transformer` of sampling, `decoder` of the autoencoder, `whole` of the call."""

    transformer: float
    decoder: float
    whole: float


def student_and_teacher(clips: int = 16, rounds: int = 3) -> tuple[Sampling, Sampling]:
    """Both at laptop sizes with the packaged encoders; weights do not matter for time and are random. Runs alternate."""
    profile = load_profile("laptop", [])
    model = OmniHumanTransformer3DModel(**SIZES, audio_dim=64, audio_layers=4, pose_keypoints=4, pose_channels=64)
    student, teacher = build_pipeline(profile, model, 1), build_pipeline(profile, model, TEACHER_STEPS)
    runs: tuple[list[Sampling], list[Sampling]] = ([], [])
    for _ in range(rounds):
        runs[0].append(_timed(student, clips, None))
        runs[1].append(_timed(teacher, clips, OmniHumanGuidance.joint(TEACHER_SCALE, TEACHER_SCALE)))
    return _fastest(runs[0]), _fastest(runs[1])


def _timed(pipeline: OmniHumanPipeline, clips: int, guidance: OmniHumanGuidance | None) -> Sampling:
    seconds = {"sample": 0.0, "decode": 0.0}

    def watched(name: str, call):  # noqa: ANN001, ANN202 - wraps whatever it is given
        def timed(*args, **kwargs):  # noqa: ANN002, ANN003, ANN202
            started = time.perf_counter()
            result = call(*args, **kwargs)
            seconds[name] += time.perf_counter() - started
            return result

        return timed

    sample, decode = pipeline.sample, pipeline.vae.decode
    pipeline.encoding_cache.clear()
    pipeline.sample, pipeline.vae.decode = watched("sample", sample), watched("decode", decode)
    started = time.perf_counter()
    pipeline(
        ["a person talks"] * clips,
        image=torch.zeros(clips, 64, 64, 3, dtype=torch.uint8),
        audio=torch.zeros(clips, 17000),
        generator=torch.Generator().manual_seed(0),
        guidance=guidance,
    )
    whole = time.perf_counter() - started
    pipeline.sample, pipeline.vae.decode = sample, decode
    return Sampling(seconds["sample"], seconds["decode"], whole)


def _fastest(runs: list[Sampling]) -> Sampling:
    return Sampling(*(min(getattr(run, name) for run in runs) for name in ("transformer", "decoder", "whole")))
