"""CPU seconds until something can be used, from a fresh process: `python -m benchmarks.start_up --before OTHER_CHECKOUT`.

Both checkouts take turns, and the least of each is compared: the machine is noisy, and work beside only ever adds. The model of the first
video is untrained and of the laptop profile's size: it makes frames, not sense.
"""

import argparse
import shutil
import tempfile
from pathlib import Path

from benchmarks.fresh_process import usage_of
from benchmarks.generation.long_video_memory import generate_arguments, prepare

ROOT = Path(__file__).resolve().parents[1]
IMPORTS = {
    "omnihuman --help": "import sys; sys.argv = ['omnihuman', '--help']; from orchestration.commands.cli import main; main()",
    "import torch": "import torch",
    "import omnihuman.pipeline": "import omnihuman.pipeline",
    "what generate imports": "import serving.generation, serving.model_choice, assets.kinds.detectors",
    "import tracking.registry": "import tracking.registry",
}
VIDEO = "first video of 2 s"


def seconds_of(checkout: Path, code: list[str], home: Path) -> float:
    """User and system time of a fresh Python and of what it starts.

    Raises:
        RuntimeError: it failed.
    """
    used = usage_of(code, checkout, home)
    return used.ru_utime + used.ru_stime


def code_of(task: str, home: Path) -> list[str]:
    """What Python is given."""
    if task != VIDEO:
        return ["-c", IMPORTS[task]]
    output = home / "video.mp4"
    output.unlink(missing_ok=True)
    shutil.rmtree(home / "video.mp4.parts", ignore_errors=True)
    return generate_arguments(home, 2, output)


def main(arguments: list[str] | None = None) -> None:
    """Print a table: this checkout, beside another where one is given."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.start_up", description=__doc__)
    parser.add_argument("--before", type=Path, help="another checkout, measured too")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args(arguments)
    checkouts = {"before": given.before.resolve(), "now": ROOT} if given.before else {"now": ROOT}
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        prepare(home)
        print(
            f"{'CPU seconds':<28}"
            + "".join(f"{title:>9}" for title in checkouts)
            + f"{'ratio':>9}" * (len(checkouts) > 1)
        )
        for task in (*IMPORTS, VIDEO):
            least = dict.fromkeys(checkouts, float("inf"))
            for _ in range(given.rounds):
                for title, root in checkouts.items():
                    least[title] = min(least[title], seconds_of(root, code_of(task, home), home))
            ratio = f"{least['now'] / least['before']:>9.2f}" if given.before else ""
            print(f"{task:<28}" + "".join(f"{value:>9.2f}" for value in least.values()) + ratio, flush=True)


if __name__ == "__main__":
    main()
