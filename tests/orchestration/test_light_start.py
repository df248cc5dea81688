"""Help is answered before anything heavy is imported."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "av",
    "cv2",
    "dagster",
    "diffusers",
    "mlflow",
    "model_signing",
    "numpy",
    "pandas",
    "pyarrow",
    "pydantic",
    "torch",
    "transformers",
)
ASK = f"""
import sys
from orchestration.commands import cli
sys.argv = ["omnihuman", *sys.argv[1:]]
try:
    cli.main()
finally:
    print("imported:", *sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize("arguments", ["--help", "votes table --help", "start --nowhere"])
def test_help_and_a_mistyped_option_import_nothing_heavy(arguments):
    """All commands stand in the same modules, so one of each kind of answer is enough."""
    done = subprocess.run(
        [sys.executable, "-c", ASK, *arguments.split()], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == (0 if "--help" in arguments else 2)
    assert ("Usage" in done.stdout or "No such option" in done.stderr) and done.stderr.splitlines()[-1] == "imported:"


def test_listing_versions_imports_no_model():
    """It reads tables and the registry; with torch and diffusers it took three times the seconds."""
    code = (
        "import sys, assets.questions.registered_versions; print(*{'torch', 'diffusers', 'dagster'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
