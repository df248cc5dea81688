"""Every kind of training on features with NaNs, in one process; writes what came of it.

python -m tests.training.nonfinite_worker FOLDER      writes FOLDER/report.json
"""

import json
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from benchmarks.training.process_group import start_alone
from tests.training.nonfinite_cases import BAD, LIMIT, SECTIONS, STEPS
from tests.training.synthetic import losses, make_job, weights, write_snapshot
from training.distillation.adversarial import AdversarialPhase
from training.distillation.consistency import ConsistencyDistillation
from training.distillation.decoder import DecoderDistillation
from training.engine.loop import Loop
from training.run.jobs import TrainingJob
from training.run.stopping import Stopped
from training.stages.stage import Stage
from training.train import run

TRAININGS = {
    "stage": Stage,
    "consistency": ConsistencyDistillation,
    "decoder": DecoderDistillation,
    "adversarial": AdversarialPhase,
}


def job_of(root: Path, parent: Path, section: str, steps: int, *overrides: str) -> TrainingJob:
    """A job of this kind over the snapshot in `root`."""
    kind = SECTIONS[section]
    parents = {"parent": str(parent)} | ({"diffusion_parent": str(parent)} if kind == "adversarial" else {})
    given = ["adversarial_videos.critic_warmup=0", "adversarial_images.critic_warmup=0", "slim_decoder.crop=2"]
    given += [f"engine.nonfinite_limit={LIMIT}", *overrides]
    return make_job(root, section, kind, section, steps, given, **parents)


def poison(root: Path, names: tuple[str, ...], rows: slice) -> None:
    """Make some features of some samples NaN, by replacing the file: a training may have it mapped."""
    (file,) = (root / "features" / "s-0").glob("features-*.safetensors")
    tensors = load_file(file)
    for name in names:
        tensors[name][rows] = float("nan")
    save_file(tensors, file.with_suffix(".new"))
    os.replace(file.with_suffix(".new"), file)


def one_bad_sample(root: Path, parent: Path, section: str) -> dict:
    """Train to the end over one sample that is NaN; its text too for the adversaries, whose generator sees no latents."""
    job = job_of(root, parent, section, STEPS, "engine.nonfinite_limit=5")
    adversarial = SECTIONS[section] == "adversarial"
    data, expected = TRAININGS[SECTIONS[section]](job).data, []  # type: ignore[abstract, attr-defined]
    for step in range(STEPS):
        draws = [*data.draws(2 * step), *data.draws(2 * step + 1)] if adversarial else data.draws(step)
        if f"c{BAD:03}" in {draw.clip_id for draw in draws}:
            expected.append(step)
    record = run(job)
    events = [json.loads(line) for line in (Path(job.work) / "events.jsonl").read_text().splitlines()]
    return {
        "expected": expected,
        "skipped_steps": record["skipped_steps"],
        "curve": losses(job)["step"].tolist(),
        "events": [[e["step"], e["event"], e["clips"]] for e in events if "non-finite" in e["event"]],
        "finite": all(bool(weight.isfinite().all()) for weight in weights(job).values()),
    }


def one_step(root: Path, parent: Path, section: str) -> dict:
    """One step over nothing but NaN: does any weight, any moment or the average move? And a run of that step alone."""
    loop = Loop(TRAININGS[SECTIONS[section]](job_of(root, parent, section, STEPS)))  # type: ignore[abstract]
    before = everything(loop)
    loop._advance()
    after = everything(loop)
    loop.training.steps = 1
    return {
        "ended": ending(loop._finish),
        "skipped": loop.guard.skipped,
        "updates": loop.training.average.updates,
        "unchanged": before.keys() == after.keys() and all(before[name].equal(after[name]) for name in before),
    }


def ending(train: Callable[[], object]) -> str:
    """The error that a training ends with; empty where it ends well."""
    try:
        train()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return ""


def everything(loop: Loop) -> dict[str, torch.Tensor]:
    """Weights and moments of all engines, and the average."""
    tensors = {f"average {name}": value.clone() for name, value in loop.training.average.whole().items()}
    for engine_name, engine in loop.training.engines.items():
        tensors |= {f"{engine_name} {name}": p.detach().clone() for name, p in engine.module.named_parameters()}
        for number, state in enumerate(engine.optimizer.state.values()):
            moments = {k: v.clone() for k, v in state.items() if isinstance(v, torch.Tensor)}
            tensors |= {f"{engine_name} moment {number} {name}": value for name, value in moments.items()}
    return tensors


def going_bad(root: Path, parent: Path, section: str, *overrides: str) -> dict:
    """Stop after a good step, break all data, go on: how it ends, and what is left."""
    job = job_of(root, parent, section, STEPS, "engine.checkpoint_every=100", *overrides)
    Path(job.work).mkdir(parents=True)
    (Path(job.work) / "stop").touch()
    with suppress(Stopped):
        run(job)
    poison(root, ("latents",), slice(None))
    ended = ending(lambda: run(job))
    checkpoints = Path(job.work) / "checkpoints"
    latest = json.loads((checkpoints / "latest.json").read_text())
    return {
        "ended": ended,
        "product": Path(job.output).exists(),
        "latest": latest["step"],
        "kept": all((checkpoints / name).is_file() for name in latest["files"]),
    }


def main(folder: Path) -> None:
    """Every kind through every case."""
    torch.set_num_threads(1)
    start_alone()
    good = folder / "good"
    write_snapshot(good)
    run(make_job(good, "parent", "stage", "stage_1", 2))
    report: dict[str, dict] = {}
    for section in SECTIONS:
        adversarial = SECTIONS[section] == "adversarial"
        cases = ("bad", "nan", "going_bad", *(("no_roll_backs",) if adversarial else ()))
        roots = {case: folder / section / case for case in cases}
        for root in roots.values():
            write_snapshot(root)
        poison(roots["bad"], ("latents", "text") if adversarial else ("latents",), slice(BAD, BAD + 1))
        poison(roots["nan"], ("latents",), slice(None))
        report[section] = {
            "bad": one_bad_sample(roots["bad"], good / "parent", section),
            "nan": one_step(roots["nan"], good / "parent", section),
            "going_bad": going_bad(roots["going_bad"], good / "parent", section),
        }
        if adversarial:
            none = f"{section}.collapse.max_rollbacks=0"
            report[section]["no_roll_backs"] = going_bad(roots["no_roll_backs"], good / "parent", section, none)
    (folder / "report.json").write_text(json.dumps(report))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
