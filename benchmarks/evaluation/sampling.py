"""What shift, steps and solver of sampling do to a trained teacher on held-out clips: `python -m benchmarks.evaluation.sampling HOME`.

Every setting makes the same clips from the same noise, by sound. Beside the product's own metrics stands what a coarse grid of times is
known to lose, the light that all positions share: its deviation over clips as a share of the real clips', and how far a clip's mean
colour lies from the real clip's. Intervals are 95 % bootstraps over clips; differences are paired, clip by clip.
"""

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from assets.core.markdown import markdown_table
from assets.core.workspace import Workspace
from assets.kinds.judging.generated_videos import computed_in, judging_autoencoder, planned_pipeline
from assets.kinds.judging.instruments import profile_instruments
from evaluation.benchmark.benchmark import Benchmark
from evaluation.benchmark.benchmark_plan import AUDIO, PIXELS, RECONSTRUCTION, ModelPlan
from evaluation.benchmark.generate import generate_videos, reconstruct
from evaluation.benchmark.generated import open_generated
from evaluation.benchmark.read import load_benchmark
from evaluation.metrics.bootstrap import Estimate, estimate
from evaluation.metrics.observation.instruments import Instruments
from evaluation.scoring.score import score_benchmark
from media.files import sha256_of_file
from omnihuman.sampling import build_scheduler
from profiles import load_profile
from profiles.judging import SamplingConfig

METRICS = (
    "faces_found", "dlib_face_distance", "akd", "missing_keypoints", "high_frequency_ratio", "flicker", "imagenet_frechet", "mouth_correlation",
    "missing_joints", "joint_error_median", "colour_error",
)  # fmt: skip
LIGHT, COLOUR = "light, share of its deviation", "mean colour off, of 255"


@dataclass(frozen=True)
class Setting:
    """One way to sample."""

    solver: str
    shift: float
    steps: int

    @property
    def name(self) -> str:
        """A folder's."""
        return f"{self.solver}-{self.shift:g}-{self.steps}"


@dataclass(frozen=True)
class OverClips:
    """A number over a set of clips, for the bootstrap."""

    name: str
    clips: int
    of: Callable[[np.ndarray], float]
    unit: str = ""

    def __len__(self) -> int:
        return self.clips

    def __call__(self, clips: np.ndarray) -> float:
        return self.of(clips)


def share_of_deviation(made: np.ndarray, real: np.ndarray) -> Callable[[np.ndarray], float]:
    """Deviation over clips of `made` over that of `real`, both `(clips, channels)`, all channels together."""
    return lambda clips: float(np.sqrt(made[clips].var(axis=0).sum() / real[clips].var(axis=0).sum()))


def mean_of(values: np.ndarray) -> Callable[[np.ndarray], float]:
    """Mean of `(clips,)` numbers."""
    return lambda clips: float(values[clips].mean())


def distance(made: np.ndarray, real: np.ndarray) -> np.ndarray:
    """`(clips,)` root mean square over channels of the difference."""
    return np.sqrt(np.square(made - real).mean(axis=1))


def colours(frames: Sequence[np.ndarray]) -> np.ndarray:
    """`(clips, 3)` mean colours of videos."""
    return np.stack([video.reshape(-1, 3).mean(axis=0) for video in frames])


def generate(
    workspace: Workspace, benchmark: Benchmark, transformer: Path, settings: Sequence[Setting], videos: Path
) -> None:
    """Make every setting's clips below `videos`; what is there already stays."""
    config, profile = workspace.profile.evaluation, workspace.profile
    plan = ModelPlan("teacher", "teacher", (AUDIO,), settings[0].steps)
    pipeline = planned_pipeline(profile, transformer, plan)
    weights, dtype = sha256_of_file(transformer / "diffusion_pytorch_model.safetensors"), computed_in(profile)
    for setting in settings:
        if (videos / setting.name / AUDIO / "meta.json").is_file():
            continue
        pipeline.scheduler = build_scheduler(SamplingConfig(solver=setting.solver, shift=setting.shift))  # type: ignore[arg-type]
        folder = videos / setting.name / AUDIO
        generate_videos(pipeline, benchmark, folder, AUDIO, setting.steps, config, weights=weights, dtype=dtype)
        print(f"made {setting.name}", flush=True)


def light_rows(benchmark: Benchmark, videos: Path, names: Sequence[str], config: object) -> pd.DataFrame:
    """The clips' mean colours as numbers with intervals, a row for each set of videos and number; `clip` numbers in the column `each`."""
    clips = [n for n, name in enumerate(benchmark.names) if benchmark.heard(n)]
    real = colours([benchmark.sample(clip).frames.numpy() for clip in clips])
    rows = []
    for name in names:
        generated = open_generated(videos / name / (PIXELS if name == RECONSTRUCTION else AUDIO), benchmark)
        made = colours([generated.frames(benchmark.names[clip]) for clip in clips])
        off = distance(made, real)
        numbers = {LIGHT: share_of_deviation(made, real), COLOUR: mean_of(off)}
        for metric, of in numbers.items():
            number = estimate(OverClips(metric, len(clips), of), config.bootstrap, config.seed)  # type: ignore[attr-defined]
            rows.append({"model": name, "metric": metric, **vars(number), "each": off if metric == COLOUR else None})
    return pd.DataFrame(rows)


def shown(number: Estimate) -> str:
    """Value and interval."""
    return f"{number.value:.3g} [{number.ci_low:.3g}, {number.ci_high:.3g}]"


def table(rows: pd.DataFrame, names: Sequence[str]) -> str:
    """Sets down, numbers across."""
    cells = []
    for name in names:
        own = rows[rows["model"] == name].drop_duplicates("metric").set_index("metric")
        cells.append(
            {"solver-shift-steps": name}
            | {m: shown(Estimate(r["value"], r["ci_low"], r["ci_high"])) for m, r in own.iterrows()}
        )
    return markdown_table(cells)


def paired(each: dict[str, dict[str, np.ndarray]], reference: str, resamples: int, seed: int) -> pd.DataFrame:
    """Of every metric that a clip has by itself, how far each set's mean lies from the reference's."""
    rows = []
    for name, metrics in each.items():
        for metric, values in metrics.items():
            there = np.flatnonzero(np.isfinite(values - each[reference][metric]))
            gap = (values - each[reference][metric])[there]
            if len(gap) and name != reference:
                number = estimate(OverClips(metric, len(gap), mean_of(gap)), resamples, seed)
                rows.append({"model": name, "metric": metric, **vars(number)})
    return pd.DataFrame(rows)


def main() -> None:
    """Generate, judge and print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "home", type=Path, help="root whose data/ holds benchmark_sets and, without --transformer, stage_3_checkpoint"
    )
    parser.add_argument("--transformer", type=Path, help="a teacher's folder")
    parser.add_argument("--profile", default="laptop")
    parser.add_argument("--set", action="append", default=[], help="override a key of the profile")
    parser.add_argument("--benchmark", help="default: the profile's first")
    parser.add_argument("--pixels-only", action="store_true", help="ask no network what it sees")
    parser.add_argument("--output", type=Path, required=True, help="folder for videos and tables")
    parser.add_argument("--shifts", type=float, nargs="+", default=[1.0, 3.0, 5.0])
    parser.add_argument("--steps", type=int, nargs="+", default=[5, 10, 20, 40])
    parser.add_argument(
        "--unipc", type=float, nargs="*", default=[3.0], help="shifts that UniPC is tried at, with the same steps"
    )
    args = parser.parse_args()
    torch.set_num_threads(1)
    workspace = Workspace(args.home.resolve(), load_profile(args.profile, args.set))
    profile, config = workspace.profile, workspace.profile.evaluation
    transformer = args.transformer or workspace.data("stage_3_checkpoint") / "transformer"
    benchmark = load_benchmark(workspace.data("benchmark_sets"), args.benchmark or config.benchmarks[0])
    settings = [
        Setting(solver, shift, steps)
        for solver, shifts in (("euler", args.shifts), ("unipc", args.unipc))
        for shift in shifts
        for steps in args.steps
    ]
    videos, names = args.output / "videos", [setting.name for setting in settings]
    generate(workspace, benchmark, transformer, settings, videos)
    pixels = videos / RECONSTRUCTION / PIXELS
    if not (pixels / "meta.json").is_file():
        reconstruct(judging_autoencoder(profile), benchmark, pixels, config.batch_size)
    plan = [ModelPlan(setting.name, setting.name, (AUDIO,), setting.steps) for setting in settings]
    looking = Instruments() if args.pixels_only else profile_instruments(workspace)
    scores = score_benchmark(
        videos, benchmark, args.output / "scores", config, plan=plan, instruments=looking, try_damage=False,
        progress=lambda done, sets, note: print(f"judged {note}, {done} of {sets}", flush=True),
    )  # fmt: skip
    light = light_rows(benchmark, videos, [RECONSTRUCTION, *names], config)
    rows = pd.concat([light, scores[scores["metric"].isin(METRICS) & scores["mode"].isin((AUDIO, PIXELS))]])
    print(table(rows, [RECONSTRUCTION, *names]))
    trained = Setting("euler", profile.stage_3.timestep_shift, config.teacher_steps).name
    samples = pd.read_parquet(args.output / "scores" / "samples.parquet").query("mode == 'audio'")
    each: dict[str, dict[str, np.ndarray]] = {name: {} for name in names}
    for (name, metric), part in samples[samples["metric"].isin(METRICS)].groupby(["model", "metric"], sort=False):
        each[name][metric] = part.set_index("clip")["value"].reindex(benchmark.names).to_numpy(float)
    for row in light[light["metric"] == COLOUR].itertuples():
        if row.model in each:
            each[row.model][COLOUR] = row.each
    if trained in each:
        print(f"\nless {trained}, the shift that the model was trained at:\n")
        print(table(paired(each, trained, config.bootstrap, config.seed), [name for name in names if name != trained]))


if __name__ == "__main__":
    main()
