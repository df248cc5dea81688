"""The studies of `evaluation/questions/studies.py`: every variant trained on the parents that stand and scored on the benchmark. Resumable.

A study is no step of the flow: nothing waits for it, and it may run for hours. Finished trainings and scores are kept under
`var/ablation`, named by what they were made from, so that variants, seeds and studies share whatever they have in common.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from assets.core.build_lock import one_maker
from assets.core.names import STUDY
from assets.core.steps import AssetError, Launcher
from assets.core.training_recipes import RECIPES
from assets.core.workspace import Workspace
from assets.kinds.checkpoints import training_job
from assets.kinds.judging.benchmark_sets import shown_faces
from assets.kinds.judging.generated_videos import computed_in, shown_mode
from assets.kinds.judging.instruments import profile_instruments
from assets.make.execute import run_process
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, POSE, RECONSTRUCTION, SECOND_SEED, ModelPlan
from evaluation.benchmark.generate import generate_videos
from evaluation.benchmark.puppet_benchmark import PuppetBenchmark
from evaluation.benchmark.read import load_benchmark
from evaluation.pages.pictures import models_sheet
from evaluation.questions.ablation import ablation_markdown, ablation_row, in_order
from evaluation.questions.ablation_pictures import study_plot
from evaluation.questions.studies import STUDIES, Study, Variant
from evaluation.scoring.score import score_benchmark
from evaluation.scoring.score_table import load_scores
from media import whole_directory, write_atomically
from media.records import ProductRecord, SnapshotRecord
from omnihuman.pipeline import build_pipeline
from omnihuman.placement import place_pipeline
from profiles import changed_profile
from tracking.code_version import git_commit
from tracking.runs import Run, open_run
from training.run.fingerprint import job_fingerprint
from training.run.launch import training_process
from training.run.warm import warm_trainings

MODEL = "variant"  # its name in the score table, of which there is one per weights
DATA = ("training_snapshot", "condition_features", "benchmark_sets", "generated_videos")


def run_study(
    workspace: Workspace, study: str, seeds: int, names: Sequence[str], command: str, launch: Launcher = run_process
) -> Path:
    """Train and score what is missing; write `data/ablation_study/<study>/` after every variant.

    The folder holds `ablation.parquet` and `.md`, `scores.png`, `contact_sheet.png`, and `videos.json`, which says where each
    variant's videos lie; MLflow gets them as a run.

    Args:
        workspace: what the study does not train must stand in it.
        study: a name in `evaluation.questions.studies.STUDIES`.
        seeds: how many seeds, counted from the profile's own.
        names: variants, in the order of the table; empty is all.
        command: kept with the table.
        launch: runs a training.

    Raises:
        AssetError: a study or variant that does not exist, or a parent that is missing.
    """
    if study not in STUDIES:
        raise AssetError(f"no study {study}; there are {', '.join(STUDIES)}")
    chosen, variants = STUDIES[study], _variants(STUDIES[study], names)
    _check_parents(workspace, chosen)
    snapshot = SnapshotRecord.path(workspace.data("training_snapshot"))
    tags = {"study": study, "command": command}
    # One at a time in a workspace: studies share trainings, and the hardware.
    with (
        one_maker(workspace, STUDY, None),
        open_run(workspace.tracker, "evaluation", STUDY, {"study": study, "seeds": seeds}, tags, snapshot) as run,
        warm_trainings(),
    ):
        return _run(workspace, chosen, variants, seeds, command, launch, run)


def _variants(study: Study, names: Sequence[str]) -> list[Variant]:
    known = {variant.name: variant for variant in study.variants}
    if set(names) - set(known):
        unknown = ", ".join(sorted(set(names) - set(known)))
        raise AssetError(f"the study {study.name} has no variant {unknown}; it has {', '.join(known)}")
    return [known[name] for name in names or known]


def _check_parents(workspace: Workspace, study: Study) -> None:
    recipes = [RECIPES[name] for name in study.trains]
    parents = {name for recipe in recipes for name in recipe.parents} - set(study.trains)
    for asset in sorted({*DATA, *parents, *([study.beside] if study.beside else [])}):
        if not workspace.data(asset).is_dir():
            raise AssetError(f"no {workspace.data(asset)}; a study starts from a finished demo: run `omnihuman demo`")


def _run(
    workspace: Workspace, study: Study, variants: list[Variant], seeds: int, command: str, launch: Launcher, run: Run
) -> Path:
    destination = workspace.data(STUDY) / study.name
    rows, videos = _beside(workspace, study)
    for seed in range(seeds):
        for variant in variants:
            print(f"{study.name}: {variant.title}, seed {seed}", flush=True)
            row, made = _variant_row(workspace, study, variant, seed, launch)
            rows.append(row)
            if made is not None:
                videos.setdefault(variant.title, made)
            table = in_order(rows, study)
            run.log({"finished": float(len(rows))}, len(rows))
            _write(workspace, destination, study, table, videos, command)
    run.artifact(destination)
    return destination


def _write(
    workspace: Workspace, destination: Path, study: Study, table: pd.DataFrame, videos: dict[str, Path], command: str
) -> None:
    benchmark = _benchmark(workspace)
    with whole_directory(destination) as folder:
        table.to_parquet(folder / "ablation.parquet", index=False)
        write_atomically(folder / "ablation.md", ablation_markdown(table, study, command, git_commit()).encode())
        write_atomically(folder / "scores.png", study_plot(table, study))
        write_atomically(
            folder / "contact_sheet.png", models_sheet(benchmark, videos, hide=shown_faces(workspace, benchmark))
        )
        places = {title: str(place.relative_to(workspace.root)) for title, place in videos.items()}
        write_atomically(folder / "videos.json", json.dumps(places, indent=1, ensure_ascii=False).encode())


def _beside(workspace: Workspace, study: Study) -> tuple[list[dict[str, Any]], dict[str, Path]]:
    """The row of what stands beside the variants, and its videos."""
    if study.beside is None:
        return [], {}
    root = _scored(workspace, study, workspace.data(study.beside))
    row = ablation_row(study.beside, None, MODEL, _scores(root), None)
    return [row], {study.beside.replace("_", " "): _shown(workspace, root)}


def _variant_row(
    workspace: Workspace, study: Study, variant: Variant, seed: int, launch: Launcher
) -> tuple[dict[str, Any], Path | None]:
    """The variant's row and its videos; a training that failed is a row with its reason."""
    try:
        weights = _train_variant(workspace, study, variant, seed, launch)
    except AssetError as error:
        return {"variant": variant.name, "seed": seed, "status": f"failed: {error}"}, None
    root = _scored(workspace, study, weights)
    curve = pd.read_parquet(weights / "losses.parquet")
    return ablation_row(variant.name, seed, MODEL, _scores(root), curve), _shown(workspace, root)


def _train_variant(workspace: Workspace, study: Study, variant: Variant, seed: int, launch: Launcher) -> Path:
    """The folder of the variant's last weights; what it has in common with what stands is not trained again."""
    sections = [RECIPES[name].section for name in study.trains]
    seeds = [f"{section}.seed={getattr(workspace.profile, section).seed + seed}" for section in sections]
    changed = replace(
        workspace, profile=changed_profile(workspace.profile, [*seeds, *study.always, *variant.overrides])
    )
    folders: dict[str, Path] = {}

    def folder_of(name: str) -> Path:
        return folders.get(name, workspace.data(name))

    for name in study.trains:
        stands = all(folder_of(above) == workspace.data(above) for above in study.trains[: len(folders)])
        folders[name] = (
            workspace.data(name) if stands and _stands(changed, name) else _train(changed, name, folder_of, launch)
        )
    return folders[study.trains[-1]]


def _stands(workspace: Workspace, name: str) -> bool:
    """Whether the asset that stands was trained with this profile's section, on today's snapshot."""
    record = ProductRecord.read_if_there(workspace.data(name))
    wanted = getattr(workspace.profile, RECIPES[name].section).model_dump(mode="json")
    return record is not None and record.section == wanted and record.snapshot_digest == _snapshot(workspace)


def _snapshot(workspace: Workspace) -> str:
    return SnapshotRecord.read(workspace.data("training_snapshot")).digest


def _train(workspace: Workspace, name: str, folder_of: Callable[[str], Path], launch: Launcher) -> Path:
    """The folder of these weights: found by their fingerprint, or made, going on where an attempt stopped."""
    root, section = workspace.var / "ablation", RECIPES[name].section
    job = training_job(workspace, name, folder_of, root, root)
    key = f"{section}-{job_fingerprint(job, _snapshot(workspace))}"
    output, work = root / "weights" / key, root / "work" / key
    if not ProductRecord.path(output).is_file():
        # Not the asset's name and progress: it is another thing than the one in data/.
        job = job.model_copy(update={"name": section, "output": str(output), "work": str(work), "progress": ""})
        launch(training_process(job.write(work / "job.json"), workspace.profile.engine))
        if not ProductRecord.path(output).is_file():
            raise AssetError(f"training of {key} ended without writing {output}")
        shutil.rmtree(work)
    return output


def _benchmark(workspace: Workspace) -> Benchmark:
    """The profile's first: puppets or people."""
    return load_benchmark(workspace.data("benchmark_sets"), workspace.profile.evaluation.benchmarks[0])


def _scores(root: Path) -> pd.DataFrame:
    return load_scores(root / "scores")


def _shown(workspace: Workspace, root: Path) -> Path:
    return root / MODEL / shown_mode(_benchmark(workspace))


def _scored(workspace: Workspace, study: Study, weights: Path) -> Path:
    """The folder with videos and scores of one model, made once per weights, benchmark, number of steps and settings."""
    benchmark, config = _benchmark(workspace), workspace.profile.evaluation
    digest = ProductRecord.read(weights).weights_digest
    steps = None if study.one_step else config.teacher_steps
    modes = tuple(mode for mode in (AUDIO, POSE, SECOND_SEED) if benchmark.driven_by(mode))
    parts: list[Any] = [digest, benchmark.digest, steps, config.model_dump(mode="json")]
    dtype = computed_in(workspace.profile)
    parts += [] if dtype == "float32" else [dtype]
    root = (
        workspace.var
        / "ablation"
        / "scores"
        / hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
    )
    if not (root / "scores" / "scores.parquet").is_file():
        puppets = isinstance(benchmark, PuppetBenchmark)
        pipeline = place_pipeline(
            build_pipeline(workspace.profile, weights / "transformer", steps or 1), workspace.profile
        )
        for mode in modes:
            if not (root / MODEL / mode / "meta.json").is_file():
                generate_videos(
                    pipeline, benchmark, root / MODEL / mode, mode, steps, config, weights=digest, dtype=dtype
                )
        if not (root / RECONSTRUCTION).exists():
            (root / RECONSTRUCTION).symlink_to(workspace.of_benchmark("generated_videos") / RECONSTRUCTION)
        score_benchmark(
            root,
            benchmark,
            root / "scores",
            config,
            plan=[ModelPlan(MODEL, MODEL, modes, steps)],
            autoencoder=pipeline.vae if puppets else None,
            instruments=None if puppets else profile_instruments(workspace),
            try_damage=False,
        )
    return root
