"""Every module of benchmarks/ can still be run: it imports what is there, and says what it takes."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULES = sorted(
    ".".join(path.relative_to(ROOT).with_suffix("").parts)
    for path in (ROOT / "benchmarks").rglob("*.py")
    if path.name != "__init__.py"
)
# Measured for a page of docs/decisions/ or beside this project, and installed for the measurement alone.
LIBRARIES = ("duckdb", "faiss", "rtmlib", "data_juicer", "scenedetect", "torchmetrics")
WITH_LIBRARIES = ("benchmarks.libraries.", "benchmarks.peers.theirs.")


@pytest.mark.parametrize("name", MODULES)
def test_it_imports_and_is_run_or_used(name, monkeypatch, capsys):
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if name.startswith(WITH_LIBRARIES) and error.name in LIBRARIES:
            pytest.skip(f"{error.name} is not installed")
        raise
    source = Path(module.__file__).read_text()
    if '__name__ == "__main__"' not in source:
        assert used_elsewhere(name), "nothing runs it"
    elif "argparse" in source and callable(getattr(module, "main", None)):
        monkeypatch.setattr("sys.argv", [name, "--help"])
        with pytest.raises(SystemExit) as ended:
            module.main()
        assert ended.value.code == 0 and "usage:" in capsys.readouterr().out


def test_cut_down_published_profiles_are_still_profiles():
    from benchmarks.gpu.cases import DRY
    from benchmarks.training import plan, precision, rounded_weights
    from profiles import load_profile
    from training.distillation.discriminator import DEPTHS, head_blocks

    assert all(row.profile.name == "wan2.1-1.3b" for row in plan.ROWS)
    for row in plan.ROWS:  # a discriminator has no head of its own in a network of one layer
        assert row.section == "stage_3" or len(head_blocks(row.smallest.transformer.num_layers)) == len(DEPTHS["apt"])
    cuts = (precision.CUT, rounded_weights.CUT, DRY.overrides)
    assert [load_profile("wan2.1-1.3b", list(cut)).encoders.audio_states for cut in cuts] == [None] * 3


def used_elsewhere(name: str) -> bool:
    """Imported, or named as what a process of its own is to import."""
    wanted = re.compile(rf"\b(from|import) {re.escape(name)}\b|\"{re.escape(name)}\"")
    return any(wanted.search(path.read_text()) for path in (ROOT / "benchmarks").rglob("*.py"))


@pytest.mark.parametrize("name", MODULES)
def test_a_page_or_the_table_names_it(name):
    """A script that nobody is told of is run by nobody."""
    run_as = name.removesuffix(".__main__")
    named = any(run_as in path.read_text() for path in [*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
    assert named or name == "benchmarks.__main__" or used_elsewhere(name)
