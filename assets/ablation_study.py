"""The ablation: every variant's adversarial phases on the parents that stand, scored on the benchmark. Resumable.

It is no step of the flow: nothing waits for it, and it may run for hours. Finished trainings and scores are kept under
`var/ablation`, named by what they were made from, so that variants share every phase that they have in common.
"""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from assets.execute import run_process
from assets.steps import AssetError, Launcher
from assets.workspace import Workspace
from media import whole_directory, write_atomically
from profiles import load_profile

if TYPE_CHECKING:
    import pandas as pd

    from evaluation.ablation import Variant

# The rules against collapse are off: the study measures what they would prevent.
RULES_OFF = tuple(f"{phase}.collapse.{rule}" for phase in ("adversarial_images", "adversarial_videos") for rule in ("gap_limit=1e9", "diversity_min=0.0", "max_rollbacks=0"))
PARENTS = ("training_snapshot", "condition_features", "stage_3_checkpoint", "consistency_student", "benchmark_sets", "generated_videos")


def run_ablation(workspace: Workspace, seeds: int, names: Sequence[str], command: str, launch: Launcher = run_process) -> Path:
    """Train and score what is missing; write `data/ablation_study/ablation.parquet` and `.md` after every variant.

    Args:
        workspace: its parents must stand (see `PARENTS`).
        seeds: how many seeds, counted from the profile's own.
        names: variants, in the order of the table; empty is all.
        command: kept with the table.
        launch: runs a training.

    Raises:
        AssetError: a parent is missing, or a variant that does not exist.
    """
    import pandas as pd

    from evaluation.ablation import VARIANTS, ablation_markdown
    from tracking.runs import git_commit

    known = {variant.name: variant for variant in VARIANTS}
    if set(names) - set(known):
        raise AssetError(f"no variant {', '.join(sorted(set(names) - set(known)))}; there are {', '.join(known)}")
    _check_parents(workspace)
    chosen = [known[name] for name in names or known]
    rows, destination = [_consistency_row(workspace)], workspace.data("ablation_study")
    for seed in range(seeds):
        for variant in chosen:
            print(f"ablation: {variant.title}, seed {seed}", flush=True)
            rows.append(_variant_row(workspace, variant, seed, launch))
            table = pd.DataFrame(rows)
            table = table.sort_values("variant", key=lambda column: column.map(["consistency_student", *known].index), kind="stable")
            with whole_directory(destination) as folder:
                table.to_parquet(folder / "ablation.parquet", index=False)
                write_atomically(folder / "ablation.md", ablation_markdown(table, VARIANTS, command, git_commit()).encode())
    return destination


def _check_parents(workspace: Workspace) -> None:
    for asset in PARENTS:
        if not workspace.data(asset).is_dir():
            raise AssetError(f"no {workspace.data(asset)}; the ablation starts from a finished demo: run `omnihuman demo`")


def _consistency_row(workspace: Workspace) -> dict[str, Any]:
    from evaluation.ablation import ablation_row

    return ablation_row("consistency_student", None, "consistency_student", _scores(workspace, "consistency_student", workspace.data("consistency_student")), None)


def _variant_row(workspace: Workspace, variant: "Variant", seed: int, launch: Launcher) -> dict[str, Any]:
    import pandas as pd

    from evaluation.ablation import ablation_row

    try:
        student = _train_variant(workspace, variant, seed, launch)
    except AssetError as error:
        return {"variant": variant.name, "seed": seed, "status": f"failed: {error}"}
    scores = _scores(workspace, variant.name, student)
    return ablation_row(variant.name, seed, variant.name, scores, pd.read_parquet(student / "losses.parquet"))


def _train_variant(workspace: Workspace, variant: "Variant", seed: int, launch: Launcher) -> Path:
    given = os.environ.get("OMNIHUMAN_SET", "").split()
    base = workspace.profile
    seeds = [f"{phase}.seed={getattr(base, phase).seed + seed}" for phase in ("adversarial_images", "adversarial_videos")]
    changed = replace(workspace, profile=load_profile(None, [*given, *seeds, *RULES_OFF, *variant.overrides]))
    images = _train(changed, "adversarial_images", workspace.data("consistency_student"), launch)
    return _train(changed, "adversarial_videos", images, launch)


def _train(workspace: Workspace, section: str, parent: Path, launch: Launcher) -> Path:
    """The folder of this phase's weights: found by its fingerprint, or made, going on where an attempt stopped."""
    from training.fingerprint import job_fingerprint
    from training.jobs import TrainingJob
    from training.launch import training_process

    root = workspace.var / "ablation"
    job = TrainingJob(
        kind="adversarial", name=section, profile_values=workspace.profile.model_dump(mode="json"), section=section,
        snapshot=str(workspace.data("training_snapshot")), features_root=str(workspace.data("condition_features")),
        parent=str(parent), diffusion_parent=str(workspace.data("stage_3_checkpoint")), output="", work="",
        tracking_uri=workspace.tracking_uri,
    )
    digest = json.loads((workspace.data("training_snapshot") / "snapshot.json").read_text())["digest"]
    key = f"{section}-{job_fingerprint(job, digest)}"
    output = root / "weights" / key
    if not (output / "record.json").is_file():
        job = job.model_copy(update={"output": str(output), "work": str(root / "work" / key)})
        launch(training_process(job.write(Path(job.work) / "job.json"), workspace.profile.engine))
        if not (output / "record.json").is_file():
            raise AssetError(f"training of {key} ended without writing {output}")
        shutil.rmtree(job.work)
    return output


def _scores(workspace: Workspace, name: str, student: Path) -> "pd.DataFrame":
    """The score table of one student, measured once per weights and benchmark."""
    from evaluation.benchmark import load_benchmark
    from evaluation.generate import generate_videos
    from evaluation.plan import AUDIO, POSE, RECONSTRUCTION, SECOND_SEED, ModelPlan
    from evaluation.score import load_scores, score_benchmark
    from omnihuman.autoencoder import load_autoencoder
    from omnihuman.pipeline import build_pipeline
    from profiles import resolve_source

    benchmark, config = load_benchmark(workspace.data("benchmark_sets")), workspace.profile.evaluation
    weights = json.loads((student / "record.json").read_text())["weights_digest"]
    root = workspace.var / "ablation" / "scores" / f"{name}-{weights[:16]}-{benchmark.digest[:16]}"
    if not (root / "scores" / "scores.parquet").is_file():
        pipeline = build_pipeline(workspace.profile, student / "transformer", 1)
        modes = (AUDIO, POSE, SECOND_SEED)
        for mode in modes:
            if not (root / name / mode / "meta.json").is_file():
                generate_videos(pipeline, benchmark, root / name / mode, mode, None, config, weights=weights)
        if not (root / RECONSTRUCTION).exists():
            (root / RECONSTRUCTION).symlink_to(workspace.data("generated_videos") / RECONSTRUCTION)
        autoencoder = load_autoencoder(resolve_source(workspace.profile.encoders.autoencoder))
        score_benchmark(root, benchmark, root / "scores", config, plan=[ModelPlan(name, name, modes, None)], autoencoder=autoencoder)
    return load_scores(root / "scores")
