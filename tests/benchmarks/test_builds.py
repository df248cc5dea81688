"""What `python -m benchmarks.builds` does without a second build: meter, turns that are kept, table, exit code, an interruption."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from benchmarks.builds import __main__ as command
from benchmarks.builds import build as builds
from benchmarks.builds import flames
from benchmarks.builds.kept import Kept, Origin, OtherRun
from benchmarks.builds.lines import LINES, Aim, greatest_difference, spread, table
from benchmarks.builds.sides import places, steps
from benchmarks.builds.sides.training import cpu_of_tree
from benchmarks.builds.tasks import BEFORE, NOW, TASKS, WARM, Demo, Shard, Task, Training, kept_key, take_turns

ORIGIN = Origin({"before": "a", "now": "b"}, "two cores")
SPIN = "import time\nwhile time.process_time() < {seconds}: pass\n"


def run(code: str, tmp_path: Path) -> builds.Usage:
    return builds.measure([sys.executable, "-I", "-c", code], tmp_path, dict(os.environ), tmp_path / "log")


def test_the_meter_counts_children_and_orphans(tmp_path):
    child = f"subprocess.Popen([sys.executable, '-I', '-c', {SPIN.format(seconds=0.4)!r}], start_new_session=True)"
    used = run(f"import subprocess, sys\n{child}.wait()\n{child}\nheld = b'x' * (200 << 20)", tmp_path)
    assert used.cpu >= 0.8  # one was waited for, the other outlived its parent
    assert 0.19 < used.gib < 0.5
    assert used.wall < 30


def test_a_failed_command_says_its_last_line(tmp_path):
    (tmp_path / "log").write_text("of an earlier run\n")
    with pytest.raises(builds.CannotRun, match=r"ended with 3: no such thing \(log: "):
        run("import sys; print('no such thing'); sys.exit(3)", tmp_path)
    with pytest.raises(builds.CannotRun, match="it printed nothing"):
        run("import sys; sys.exit(3)", tmp_path)


class Counting(Task):
    """Takes as many seconds as turns were taken before it."""

    name = "step"

    def __init__(self, work: Path, fails_at: int = 99):
        super().__init__(builds.this_build(), builds.this_build(), work)
        self.taken: list[tuple[str, int]] = []
        self.fails_at = fails_at

    def measure(self, way: str, turn: int) -> dict[str, Any]:
        if len(self.taken) == self.fails_at:
            raise builds.CannotRun("no | more")
        self.taken.append((way, turn))
        return {"wall": 1.0, "cpu": 2.0 if way == NOW else 4.0, "over plain": 1.01, "details": []}


def test_a_run_that_ended_goes_on_and_repeats_nothing(tmp_path):
    path, said = tmp_path / "results.json", []
    broken = Counting(tmp_path, fails_at=3)
    with pytest.raises(builds.CannotRun):
        take_turns(broken, Kept(path, ORIGIN), 2, said.append)
    assert broken.taken == [(BEFORE, 0), (NOW, 0), (NOW, 1)]  # the second turn begins with the other build
    again = Counting(tmp_path)
    take_turns(again, Kept(path, ORIGIN), 2, said.append)
    assert again.taken == [(BEFORE, 1)] and said[-1] == "step, before, turn 2 of 2: wall 1, cpu 4, over plain 1.01"
    finished = Counting(tmp_path, fails_at=0)
    take_turns(finished, Kept(path, ORIGIN), 2, said.append)
    assert finished.taken == []


def test_results_of_other_builds_or_machines_are_not_mixed(tmp_path):
    path = tmp_path / "results.json"
    Kept(path, ORIGIN).add("step", BEFORE, {"wall": 1.0})
    for other in (Origin({"before": "a", "now": "c"}, "two cores"), Origin(ORIGIN.commits, "four cores")):
        with pytest.raises(OtherRun, match="--home-work"):
            Kept(path, other)
    path.write_text("[]")
    with pytest.raises(OtherRun, match="holds no results"):
        Kept(path, ORIGIN)


def test_the_table_says_reached_missed_and_why_not(tmp_path):
    kept = Kept(tmp_path / "results.json", ORIGIN)
    for way, wall, tokens in ((BEFORE, 40.0, 2000.0), (NOW, 30.0, 2100.0), (WARM, 17.0, 3000.0)):
        losses = [0.5, 0.25 * (1 + 3e-6 * (way != BEFORE))]
        found = {"wall": wall, "cpu": wall, "tokens per second": tokens, "losses": losses}
        for number in (16, 2):
            kept.add(kept_key("training", number), way, found | {"wall": wall + (number == 2)})
        kept.add(kept_key("training"), way, found | {"wall": wall + 2})
    rows = "\n".join(table(kept, {"shard": "a | b"}, ["training", "shard"])).splitlines()
    row = {line.split("|")[1].strip(): line for line in rows}
    warm = row["16-step training, warm as in a demo, wall s"]
    assert warm.endswith("| at most 18 | 41 (40 to 42) | 18 (17 to 19) | **0.439 (0.425 to 0.452)** | reached |")
    assert row["16-step training, cold, wall s"].endswith("| missed |")
    assert (
        "| at least 1.5 of before | 2000 (2000 to 2000) | 3000 (3000 to 3000) | **1.5 (1.5 to 1.5)** | reached |"
        in rows[2]
    )
    assert row["16-step training, cold, CPU s"].endswith("|  |")
    assert "**3.0e-06** | reached; warm and cold equal |" in row["losses of 16 steps, greatest relative difference"]
    assert row["new shard of 64 clips, CPU s"].endswith("| cannot be run: a / b |")
    assert not any("demo`" in line for line in rows)
    two = "\n".join(table(kept, {}, ["training"], steps=2))
    assert "| 2-step training, warm as in a demo, wall s |  | 41 | 18 | **0.439** |  |" in two  # no aim was set for it
    assert "| losses of 2 steps, greatest relative difference |  | last 0.25 |" in two
    assert "**3.0e-06** | warm and cold equal |" in two and "16" not in two and "at most" not in two


def test_an_aim_bounds_the_ratio_or_the_number():
    assert Aim("ratio", 0.5).is_reached(0.5, 9) and not Aim("ratio", 0.5).is_reached(0.51, 0)
    assert Aim("ratio", 1.5, "at least").is_reached(1.5, 0) and not Aim("ratio", 1.5, "at least").is_reached(1.4, 9)
    assert Aim("now", 18).is_reached(9, 18) and not Aim("now", 18).is_reached(0, 19)
    assert str(Aim("ratio", 0.55, wish="; 0.45 is the wish")) == "at most 0.55 of before; 0.45 is the wish"


def test_curves_of_losses_are_compared_step_by_step():
    assert greatest_difference([1.0, 2.0], [1.0, 2.0]) == 0
    assert greatest_difference([1.0, -2.0], [1.1, -2.0]) == pytest.approx(0.1)
    assert greatest_difference([1.0], [1.0, 1.0]) == float("inf")
    assert spread([0.5]) == "0.5" and spread([1234.6, 1.0, 2.0]) == "2 (1 to 1235)"


def test_every_line_reads_a_task_that_is_measured():
    names = {task.name: task for task in TASKS}
    for line in LINES:
        assert line.now in names[line.task].ways and BEFORE in names[line.task].ways


def test_a_row_that_cannot_be_run_ends_the_command_with_1(tmp_path, monkeypatch, capsys):
    other = builds.Build("before", builds.ROOT, Path(sys.executable))
    monkeypatch.setattr(command, "before_build", lambda checkout: other)
    asked = ["--before", str(tmp_path), "--rows", "step", "--turns", "1", "--home-work", str(tmp_path / "work")]
    monkeypatch.setattr(command, "_tasks", lambda given, before, now: [Counting(tmp_path, fails_at=1)])
    assert command.main(asked) == 1
    assert "cannot be run: no / more" in capsys.readouterr().out
    monkeypatch.setattr(command, "_tasks", lambda given, before, now: [Counting(tmp_path)])
    assert command.main(asked) == 0
    assert "| **0.5** |  |" in capsys.readouterr().out


def test_a_checkout_without_packages_is_refused_in_a_line(tmp_path, capsys):
    assert command.main(["--before", str(tmp_path)]) == 1
    assert "has no .venv: run `make .venv/.installed` there" in capsys.readouterr().err


def test_todays_places_are_there_and_a_missing_one_is_named(monkeypatch):
    for name in places.PLACES:
        assert callable(places.place(name))
    monkeypatch.setitem(places.PLACES, "nothing", ("benchmarks.nowhere", "benchmarks.record"))
    with pytest.raises(ImportError, match=r"no nothing in benchmarks.nowhere, benchmarks.record"):
        places.place("nothing")


def test_a_side_finds_the_other_builds_modules_first_and_todays_benchmarks(tmp_path):
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "record.py").write_text("HERE = True")
    (tmp_path / "media.py").write_text("HERE = True")
    environment = builds.Build("before", tmp_path, Path(sys.executable)).environment()
    code = "import media, benchmarks.record as record, benchmarks.interleaved; print(media.HERE, record.HERE)"
    (tmp_path / "benchmarks" / "tried.py").write_text(code)
    start = [sys.executable, "-P", str(builds.START), "benchmarks.tried"]
    assert subprocess.run(start, env=environment, capture_output=True, text=True, check=True).stdout == "True True\n"


def test_a_side_is_todays_where_the_other_build_has_sides_too(tmp_path):
    """A commit that has `benchmarks.builds`: its own sides are not what runs in it; its other benchmarks are."""
    sides = tmp_path / "benchmarks" / "builds" / "sides"
    sides.mkdir(parents=True)
    for folder in (sides, sides.parent, sides.parent.parent):
        (folder / "__init__.py").touch()
    for module in ("places", "scores"):
        (sides / f"{module}.py").write_text("raise SystemExit('of the build before')")
    (tmp_path / "benchmarks" / "record.py").write_text("HERE = True")
    tried = "import benchmarks.record as record, benchmarks.builds.sides.places as places, benchmarks.builds as whole\n"
    (tmp_path / "benchmarks" / "tried.py").write_text(tried + "print(record.HERE, places.__file__, whole.__file__)")
    before = builds.Build("before", tmp_path, Path(sys.executable))
    start = [sys.executable, "-P", str(builds.START), "benchmarks.tried"]
    done = subprocess.run(start, env=before.environment(), capture_output=True, text=True)
    own = builds.ROOT / "benchmarks" / "builds"
    assert done.stdout == f"True {own / 'sides' / 'places.py'} {own / '__init__.py'}\n", done.stderr
    asked = subprocess.run(
        [*before.side_command("steps"), "--help"], env=before.environment(), capture_output=True, text=True
    )
    assert asked.returncode == 0 and "--alone" in asked.stdout, asked.stderr


def test_a_clock_takes_turns_and_leaves_the_first_out():
    order: list[str] = []
    clock = steps.Clock(3, beside=True)
    clock(lambda: order.append("ours"), lambda: order.append("theirs"), rounds=99)
    assert order == ["ours", "theirs", "theirs", "ours"] * 2 or order == ["theirs", "ours", "ours", "theirs"] * 2
    assert set(clock.found) == {"wall", "cpu", "over plain"}
    alone = steps.Clock(1, beside=False)
    alone(lambda: None, lambda: pytest.fail("not to be run"))
    assert set(alone.found) == {"wall", "cpu"}


def test_cpu_of_what_ended_and_of_what_runs():
    before = cpu_of_tree()
    subprocess.run([sys.executable, "-I", "-c", SPIN.format(seconds=0.3)], check=True)
    runs = subprocess.Popen([sys.executable, "-I", "-c", SPIN.format(seconds=0.3) + "print(1, flush=True); input()"],
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    runs.stdout.readline()
    assert cpu_of_tree() - before >= 0.55
    runs.communicate(b"\n")


MAKEFILE = """.venv/.installed:
\tmkdir -p .venv && touch $@
demo: .venv/.installed
\techo "$$PYTHONPATH:$$OMNIHUMAN_HOME:" > seen
\t{recipe}
"""


def repository(folder: Path, recipe: str) -> builds.Build:
    folder.mkdir()
    (folder / "Makefile").write_text(MAKEFILE.format(recipe=recipe))
    (folder / ".gitignore").write_text("/.venv/\n/seen\n")
    for step in (
        ["init", "-q"],
        ["add", "."],
        ["-c", "user.name=a", "-c", "user.email=a@b.example", "commit", "-qm", "a"],
    ):
        subprocess.run(["git", *step], cwd=folder, check=True)
    return builds.Build(folder.name, folder, Path(sys.executable))


def test_a_clone_needs_a_commit_and_a_demo_that_fails_is_said(tmp_path):
    build = repository(tmp_path / "now", "exit 4")
    demo = Demo(build, build, tmp_path / "work", "clone")
    with pytest.raises(builds.CannotRun, match="make ended with 2"):
        demo.measure(NOW, 0)
    (build.root / "Makefile").write_text("changed")
    with pytest.raises(builds.CannotRun, match="in no commit"):
        demo.measure(NOW, 0)


def test_trees_of_one_commit_with_other_changes_have_other_names(tmp_path):
    build = repository(tmp_path / "now", "exit 0")
    head = build.commit
    assert len(head) == 40 and build.changes == ""
    names = [head]
    (build.root / "notes.txt").write_text("no module")
    (build.root / ".#gone.py").symlink_to("nowhere")  # as an editor locks a file
    assert build.commit == head
    (build.root / "Makefile").write_text("one")
    names.append(build.commit)
    (build.root / "Makefile").write_text("two")
    names.append(build.commit)
    (build.root / "new.py").write_text("A = 1")
    names.append(build.commit)
    (build.root / "new.py").write_text("A = 2")
    names.append(build.commit)
    assert len(set(names)) == 5 and all(name.startswith(f"{head}-dirty-") for name in names[1:])
    subprocess.run(["git", "checkout", "-q", "Makefile"], cwd=build.root, check=True)
    with pytest.raises(builds.CannotRun, match="in no commit"):  # a clone would lack the new module
        Demo(build, build, tmp_path / "work", "clone").measure(NOW, 0)
    (build.root / "new.py").unlink()
    assert build.commit == head
    with pytest.raises(builds.NoBuild, match="is no clone"):
        _ = builds.Build("before", tmp_path / "work", Path(sys.executable)).commit


class Shards(Shard):
    """Writes a file for each shard that a home is given."""

    def __init__(self, build: builds.Build, work: Path):
        super().__init__(build, build, work)
        self.seen: list[tuple[str, list[str]]] = []
        self.breaks = False

    def inputs(self, what: str, folder: Path, *arguments: object) -> Path:
        return folder

    def curate(self, way, home, clips, under=lambda asset: []) -> dict[str, Any]:
        home.mkdir(parents=True, exist_ok=True)
        self.seen.append((way, sorted(path.name for path in home.iterdir())))
        (home / clips.name).write_text(str(home))
        if self.breaks:
            raise builds.CannotRun("broken off")
        return {"wall": 1.0}


def test_every_shard_is_made_in_the_same_home_whatever_was_broken_off(tmp_path, monkeypatch):
    monkeypatch.setattr(builds.Build, "side", lambda self, *more, log: None)
    task = Shards(builds.this_build(), tmp_path)
    task.breaks = True
    with pytest.raises(builds.CannotRun):
        task.measure(BEFORE, 0)  # while its standing home is made
    task.breaks = False
    kept = Kept(tmp_path / "results.json", ORIGIN)
    take_turns(task, kept, 1, lambda line: None)
    assert task.seen[1:] == [(BEFORE, []), (BEFORE, ["first-clips"]), (NOW, []), (NOW, ["first-clips"])]
    task.breaks = True
    with pytest.raises(builds.CannotRun):
        take_turns(task, kept, 2, lambda line: None)
    again = Shards(builds.this_build(), tmp_path)
    take_turns(again, kept, 3, lambda line: None)
    assert len(again.seen) == 4 and {tuple(names) for _, names in again.seen} == {("first-clips",)}
    for way in (BEFORE, NOW):  # the copy stands where the home was made
        assert (tmp_path / "shard" / way / "first-clips").read_text() == str(tmp_path / "shard" / way)


class Trainings(Training):
    """Leaves MLflow's store behind, and may fail after that."""

    def __init__(self, work: Path, steps: int = 16):
        super().__init__(builds.this_build(), builds.this_build(), work, steps)
        self.taken: list[tuple[str, int, bool]] = []
        self.fails = False

    def inputs(self, what: str, folder: Path, *arguments: object) -> Path:
        return folder

    def _train(self, way: str, steps: int, *options: str) -> dict[str, Any]:
        store = self.work / way / "mlflow.db"
        self.taken.append((way, steps, store.exists()))
        store.parent.mkdir(parents=True, exist_ok=True)
        store.touch()
        if self.fails:
            raise builds.CannotRun("after its store was made")
        return {"wall": 1.0}


def test_a_training_is_prepared_when_its_step_has_ended(tmp_path):
    task = Trainings(tmp_path)
    task.fails = True
    with pytest.raises(builds.CannotRun):
        task.prepare()
    task.fails = False
    task.prepare()
    task.prepare()
    assert task.taken == [(BEFORE, 1, False), (BEFORE, 1, False), (NOW, 1, False)]


def test_trainings_of_other_steps_are_kept_apart(tmp_path):
    kept = Kept(tmp_path / "results.json", ORIGIN)
    for number in (2, 16):
        take_turns(Trainings(tmp_path, number), kept, 1, lambda line: None)
        for way in Training.ways:
            assert kept.turns(kept_key("training", number), way) == [{"wall": 1.0}]
    finished = Trainings(tmp_path, 2)
    take_turns(finished, kept, 1, lambda line: None)
    assert finished.taken == []


@pytest.mark.parametrize("option", ["--turns", "--steps"])
@pytest.mark.parametrize("number", ["0", "-1", "1.5", "many"])
def test_less_than_one_turn_or_step_is_refused(option, number, tmp_path, capsys):
    with pytest.raises(SystemExit) as refused:
        command.main(["--before", str(tmp_path), option, number])
    assert refused.value.code == 2 and f"argument {option}" in capsys.readouterr().err


def test_the_number_of_steps_reaches_the_training(tmp_path):
    asked = ["--before", str(tmp_path), "--rows", "training", "scores", "--home-work", str(tmp_path)]
    here = builds.this_build()
    for more, number in ((["--steps", "2"], 2), ([], 16)):
        _, training = command._tasks(command._parser().parse_args([*asked, *more]), here, here)
        assert isinstance(training, Training) and training.steps == number


def test_a_demo_runs_in_a_clone_or_with_a_home_of_its_own(tmp_path):
    build = repository(tmp_path / "before", "echo made")
    for where, home in (("clone", ""), ("home", str(tmp_path / "work" / "demo" / "before"))):
        found = Demo(build, build, tmp_path / "work", where).measure(BEFORE, 0)
        assert {"wall", "cpu", "gib"} == set(found) and found["wall"] > 0
        ran_in = tmp_path / "work" / "demo" / "before" if where == "clone" else build.root
        assert (ran_in / "seen").read_text() == f":{home}:\n"


@pytest.mark.parametrize("asked", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_of_a_demo_and_keeps_nothing(tmp_path, asked):
    """The second as a job in the background has it: its interruptions are ignored."""
    marker = f"{int(asked)}61{os.getpid()}"  # seconds that no other process sleeps
    build = repository(tmp_path / "before", f"sleep {marker}")
    code = (
        "import sys; from pathlib import Path; from benchmarks.builds.build import Build; from benchmarks.builds.kept import Kept, Origin\n"
        "from benchmarks.builds.tasks import Demo, take_turns\n"
        f"build = Build('before', Path({str(build.root)!r}), Path(sys.executable)); work = Path({str(tmp_path / 'work')!r})\n"
        "take_turns(Demo(build, build, work), Kept(work / 'results.json', Origin({}, '')), 1, print)"
    )
    nohup = ["nohup"] if asked == signal.SIGTERM else []
    ignoring = (lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)) if nohup else None
    process = subprocess.Popen(
        [*nohup, sys.executable, "-c", code],
        cwd=builds.ROOT,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        preexec_fn=ignoring,
    )
    assert wait_until(lambda: sleepers(marker))
    process.send_signal(asked)
    process.wait(60)
    assert process.returncode != 0 and wait_until(lambda: not sleepers(marker))
    assert not (tmp_path / "work" / "results.json").exists()


def sleepers(marker: str) -> list[str]:
    lines = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [line for line in lines if line == f"sleep {marker}"]


def wait_until(holds, seconds: float = 60) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and not holds():
        time.sleep(0.05)
    return bool(holds())


SPY = """#!{python} -I
import subprocess, sys
path = sys.argv[sys.argv.index("--output") + 1]
open(path, "w").write("<svg/>")
sys.exit(subprocess.call(sys.argv[sys.argv.index("--") + 1 :]))
"""


def test_flames_of_what_runs_and_why_not_of_what_does_not(tmp_path, monkeypatch):
    spy = tmp_path / "bin" / "py-spy"
    spy.parent.mkdir()
    spy.write_text(SPY.format(python=sys.executable))
    spy.chmod(0o755)
    monkeypatch.setattr(flames, "installed_spy", lambda: str(spy))
    monkeypatch.setattr(builds.Build, "side_command", lambda self, module, *more: [f"/bin/{module == 'steps'}".lower()])
    here, said = builds.Build("before", tmp_path, Path("/bin/false")), []
    failed = flames.draw(here, here, tmp_path / "work", tmp_path / "drawn", said.append)
    assert [line.split(" (")[0] for line in said] == [
        str(tmp_path / "drawn" / f"training-step-{way}.svg") for way in (BEFORE, NOW)
    ]
    assert set(failed) == {f"flames of scoring and encode, {way}" for way in (BEFORE, NOW)}
    monkeypatch.setattr(flames, "installed_spy", lambda: None)
    with pytest.raises(builds.CannotRun, match="pip install py-spy"):
        flames.recorded(tmp_path / "a.svg")


def test_a_second_run_in_a_folder_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(command, "before_build", lambda checkout: builds.this_build())
    holding = (
        "from pathlib import Path; from media.file_lock import file_lock\n"
        f"with file_lock(Path({str(tmp_path / 'lock')!r})):\n    print(1, flush=True)\n    input()"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", holding], cwd=builds.ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    other.stdout.readline()
    assert command.main(["--before", str(tmp_path), "--rows", "step", "--home-work", str(tmp_path)]) == 1
    assert "another run works in" in capsys.readouterr().err
    other.communicate(b"\n")
