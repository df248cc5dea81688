"""`python -m benchmarks.training.loss_parity --against OTHER_CHECKOUT`: the same tiny trainings in two checkouts, compared bit for bit.

For a change of the layout that must change no number. Each checkout trains in a process of its own, on random features that its own
tests write, under one thread. Compared are every column of every `losses.parquet` and every byte of the weights and their configuration.
"""

import argparse
import hashlib
import json
import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

HERE = Path(__file__).resolve().parents[2]
LOOKED_AT = ["watch.every=2", "watch.samples=4", "watch.videos=0"]


class Training(NamedTuple):
    """One tiny training: which code it runs, and what differs from `tests.training.synthetic.TINY`."""

    name: str
    kind: str
    section: str
    steps: int
    overrides: tuple[str, ...] = ()
    parent: str | None = None


TRAININGS = (
    Training(
        "stage",
        "stage",
        "stage_3",
        4,
        ("curation.held_out_share=0.3", "stage_3.image_share=0.25", *(f"stage_3.{look}" for look in LOOKED_AT)),
    ),
    Training("stage_lora", "stage", "stage_3", 3, ("stage_3.lora={rank: 4}",), "stage"),
    Training("consistency", "consistency", "consistency", 3, parent="stage"),
    Training("images", "adversarial", "adversarial_images", 2, ("adversarial_images.critic_warmup=1",), "consistency"),
    Training("videos", "adversarial", "adversarial_videos", 2, ("adversarial_videos.critic_warmup=1",), "images"),
)


def train_all(root: Path, second_layout: bool = False) -> None:
    """Run every training in this process, one after another; its imports find whichever checkout is first on PYTHONPATH."""
    from tests.training.synthetic import make_job, write_snapshot
    from training import train

    write_snapshot(root)
    if second_layout:
        from tests.training.synthetic import lay_out_anew

        lay_out_anew(root)
    train.start_process_group()
    for training in TRAININGS:
        parents = {"parent": str(root / training.parent)} if training.parent else {}
        if training.kind == "adversarial":
            parents["diffusion_parent"] = str(root / "stage")
        train.run(
            make_job(
                root,
                training.name,
                training.kind,
                training.section,
                training.steps,
                list(training.overrides),
                **parents,
            )
        )


def train_in(checkout: Path, root: Path, second_layout: bool = False) -> None:
    """Run every training by the code of `checkout`, in a process that sees no other; its features in the layout that its tests write, or
    in the second one.

    Raises:
        RuntimeError: it failed; with the end of what it printed.
    """
    environment = os.environ | {
        "PYTHONPATH": str(checkout),
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
        "DS_ACCELERATOR": "cpu",
        "TORCH_COMPILE_DISABLE": "1",
        "RANK": "0",
        "LOCAL_RANK": "0",
        "WORLD_SIZE": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(_free_port()),
    }
    # -P keeps this folder off the path of the child, which must import from `checkout` alone.
    command = [sys.executable, "-P", str(Path(__file__).resolve()), "--train", str(root)]
    command += ["--second-layout"] if second_layout else []
    done = subprocess.run(command, cwd=checkout, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"training by {checkout} failed:\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def differences(ours: pd.DataFrame, theirs: pd.DataFrame) -> dict[str, float]:
    """Columns whose bits differ, with the largest distance; one that only one side has, and another number of rows, are infinitely far."""
    if len(ours) != len(theirs):
        return {"rows": float("inf")}
    found = {str(column): float("inf") for column in ours.columns.symmetric_difference(theirs.columns)}
    for column in ours.columns.intersection(theirs.columns):
        mine, other = ours[column].to_numpy(dtype="float64"), theirs[column].to_numpy(dtype="float64")
        if mine.tobytes() != other.tobytes():
            found[str(column)] = float(abs(mine - other).max())
    return found


def product_digest(folder: Path) -> str:
    """12 hex digits over every file of a training's weights: keys, values and configuration."""
    digest = hashlib.sha256()
    for file in sorted(folder.glob("transformer/*")):
        digest.update(file.name.encode() + file.read_bytes())
    return digest.hexdigest()[:12]


def report(ours: Path, theirs: Path) -> tuple[list[str], bool]:
    """A line for each training, and whether all are equal in every bit."""
    lines, equal = [f"{'training':<12} {'rows':>4} {'columns':>7} {'differ':>6}  weights (this / other)"], True
    for training in TRAININGS:
        tables = [pd.read_parquet(root / training.name / "losses.parquet") for root in (ours, theirs)]
        weights = [product_digest(root / training.name) for root in (ours, theirs)]
        different = differences(*tables)
        lines.append(
            f"{training.name:<12} {len(tables[0]):>4} {len(tables[0].columns):>7} {len(different):>6}  {weights[0]} / {weights[1]}"
        )
        lines += [f"    {column}: up to {distance:.3g}" for column, distance in different.items()]
        equal = equal and not different and weights[0] == weights[1]
    return lines, equal


def parse(arguments: list[str] | None = None) -> Any:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--against", type=Path, help="another checkout of this project")
    what.add_argument("--train", type=Path, help=argparse.SUPPRESS)
    parser.add_argument(
        "--second-layout", action="store_true", help="this checkout reads features in the second layout"
    )
    return parser.parse_args(arguments)


def main() -> int:
    """Train in both checkouts and compare; 1 where a bit differs."""
    given = parse()
    if given.train:
        train_all(given.train, given.second_layout)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        roots = [Path(folder) / "this", Path(folder) / "other"]
        for checkout, root in zip((HERE, given.against.resolve()), roots, strict=True):
            root.mkdir()
            train_in(checkout, root, given.second_layout and checkout == HERE)
        lines, equal = report(*roots)
    print("\n".join(lines))
    print(json.dumps({"equal": equal, "this": str(HERE), "other": str(given.against.resolve())}))
    return 0 if equal else 1


if __name__ == "__main__":
    sys.exit(main())
