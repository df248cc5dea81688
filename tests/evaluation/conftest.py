"""A small benchmark, and a pipeline that obeys the sound it is given perfectly."""

from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler
from torch import Tensor, nn

from evaluation.benchmark.puppet_benchmark import Benchmark, build_puppets, load_puppets
from profiles import load_profile
from profiles.schema import EvaluationConfig


class Decoder:
    """Stands for an autoencoder whose pixels are its latents."""

    def decode(self, latents: Tensor) -> Tensor:
        return latents


@dataclass
class ObedientPipeline:
    """Returns the true frames of the clip whose sound it hears, and remembers what it was asked.

    `noise` adds that many grey levels of each clip's own generator, `fail_at` raises in that call.
    """

    benchmark: Benchmark
    noise: float = 0.0
    fail_at: int | None = None
    calls: list[dict[str, Any]] = field(default_factory=list)
    scheduler: FlowMatchEulerDiscreteScheduler = field(default_factory=FlowMatchEulerDiscreteScheduler)
    transformer: nn.Module = field(default_factory=nn.Identity)
    vae: Decoder = field(default_factory=Decoder)

    def __call__(self, **inputs: Any) -> SimpleNamespace:
        if self.fail_at == len(self.calls):
            raise KeyboardInterrupt
        self.calls.append(inputs)
        heard = [int((self.benchmark.audio == sound).all(dim=1).nonzero()[0]) for sound in inputs["audio"]]  # type: ignore[attr-defined]
        frames = self.benchmark.frames[heard].float()  # type: ignore[attr-defined]
        extra = [torch.randn(frames.shape[1:], generator=g) for g in inputs["generator"]]
        for _ in range(inputs["num_inference_steps"] or 1):
            frames = self.transformer(frames)
        return SimpleNamespace(frames=self._to_uint8(self.vae.decode(frames + self.noise * torch.stack(extra))))

    @staticmethod
    def _to_uint8(frames: Tensor) -> Tensor:
        return frames.round().clamp(0, 255).to(torch.uint8)


@pytest.fixture(scope="session")
def config() -> EvaluationConfig:
    return EvaluationConfig(clips=8, batch_size=3, bootstrap=40)


@pytest.fixture(scope="session")
def video():
    return load_profile("laptop", []).video


@pytest.fixture(scope="session")
def benchmark_folder(tmp_path_factory, config, video) -> Path:
    """To be read, or copied."""
    folder = tmp_path_factory.mktemp("benchmark") / "benchmark_sets"
    build_puppets(folder, config, video)
    return folder


@pytest.fixture(scope="session")
def benchmark(benchmark_folder) -> Benchmark:
    return load_puppets(benchmark_folder)


@pytest.fixture
def obedient(benchmark) -> type[ObedientPipeline]:
    return ObedientPipeline


@pytest.fixture(scope="session")
def generated_root(tmp_path_factory, benchmark, config) -> Path:
    """Every planned model obeys perfectly; the reconstruction is the truth itself with a little noise."""
    from evaluation.benchmark.benchmark_plan import AUDIO, generation_plan
    from evaluation.benchmark.generate import generate_videos

    root = tmp_path_factory.mktemp("generated") / "generated_videos"
    for model in generation_plan(config):
        for mode in model.modes:
            pipeline = ObedientPipeline(benchmark, noise=2.0)
            generate_videos(pipeline, benchmark, root / model.name / mode, mode, model.steps, config, weights="w")
    folder = root / "reconstruction" / "pixels"
    generate_videos(ObedientPipeline(benchmark, noise=1.0), benchmark, folder, AUDIO, 1, config, weights="w")
    return root


@pytest.fixture(scope="session")
def inception_file(tmp_path_factory) -> Path:
    """Random weights in the published form of FID's Inception: no counters of batches. He's scale keeps signals alive."""
    from evaluation.networks.inception import InceptionV3

    torch.manual_seed(0)
    model = InceptionV3()
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    state = {k: v for k, v in model.state_dict().items() if not k.endswith("num_batches_tracked")}
    path = tmp_path_factory.mktemp("inception") / "pt_inception.pth"
    torch.save(state, path)
    return path
