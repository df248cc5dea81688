"""Our whole training step (loader, DeepSpeed, average, logging) against a plain torch loop over a batch that is ready."""

import tempfile
from pathlib import Path

import torch

from benchmarks.interleaved import Comparison, compare
from benchmarks.training.process_group import start_alone
from benchmarks.training.snapshot import write_snapshot
from profiles import Profile, load_profile
from training.data.loader import SnapshotData
from training.engine.deepspeed_engine import build_engine, rate_factor, set_rate
from training.engine.ema import ExponentialMovingAverage
from training.engine.optimizer import build_optimizer
from training.engine.throughput import Throughput, batch_tokens
from training.flow_matching import interpolate, per_sample_loss, sample_timesteps
from training.run.jobs import TrainingJob
from training.run.recorder import Recorder
from training.stages.flow_matching_step import optimizer_step
from training.stages.model import build_transformer


def training_step(rounds: int = 9) -> Comparison:
    """Stage 3 of the laptop profile, on random features of its shapes."""
    profile = load_profile("laptop")
    stage = profile.stage_3
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_snapshot(root, profile)
        start_alone()
        data = SnapshotData(
            root / "snapshot", root / "features", profile, stage.subset, stage.seed, stage.batch_size, stage.ratios
        )
        ours, theirs = _ours(root, profile, data), _theirs(profile, data)
        return compare(ours, theirs, rounds)


def _ours(root: Path, profile: Profile, data: SnapshotData):
    stage = profile.stage_3
    model = build_transformer(profile, None, stage.seed)
    engine = build_engine(model, stage.optimizer, profile.engine, stage.batch_size)
    average = ExponentialMovingAverage(model, stage.ema_decay)
    job = TrainingJob(
        kind="stage",
        name="bench",
        profile_values=profile.model_dump(mode="json"),
        section="stage_3",
        snapshot=str(root / "snapshot"),
        features_root=str(root / "features"),
        output=str(root / "out"),
        work=str(root / "work"),
        progress=str(root / "progress.json"),
    )
    recorder, throughput = Recorder(job, stage.steps, data.digest), Throughput(None, 1)

    def step() -> None:
        # The same batch each time, so that both sides see the same conditions.
        batch = data.batch(0)
        set_rate(engine, rate_factor(1, stage.steps, stage.warmup_steps, stage.decay_to))
        result = optimizer_step(engine, batch, stage)
        average.update()
        recorder.log(1, result.row(), "bench", throughput.row(1.0, batch_tokens(batch), None))

    return step


def _theirs(profile: Profile, data: SnapshotData):
    stage = profile.stage_3
    model = build_transformer(profile, None, stage.seed)
    optimizer = build_optimizer(model.named_parameters(), stage.optimizer)
    average = ExponentialMovingAverage(model, stage.ema_decay)
    batch = data.batch(0)

    def step() -> None:
        t = sample_timesteps(batch.uniform, stage.timestep_law, stage.timestep_shift)
        velocity = model(interpolate(batch.latents, batch.noise, t), t * 1000, return_dict=False, **batch.conditions())[
            0
        ]
        loss = per_sample_loss(velocity, batch.latents, batch.noise).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), profile.engine.gradient_clipping)
        optimizer.step()
        optimizer.zero_grad()
        average.update()

    return step
