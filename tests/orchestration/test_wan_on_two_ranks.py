"""The larger published profile, cut down, from an inbox to a registered student on two ranks under ZeRO-3, as it ships.

The cuts are those of the flow of people (`test_cut_down_profile.py` names them), carried over key by key, and no ranks share a sample's tokens, which
takes accelerators. The smaller profile goes the whole way in `test_people_flow.py`, on two ranks too.
"""

import os
import sys
from pathlib import Path

import pytest
import yaml

from assets.core.names import MODELS, STUDENT
from media.records import ProductRecord
from omnihuman.digests import weights_digest
from profiles import load_profile
from profiles.judging import HELD_OUT
from tests import forked, keys_read
from tests.keys_read import below, leaves
from tests.orchestration.test_people_flow import ELSEWHERE, cut_down, write_networks, write_person
from tracking.model_address import CHALLENGER
from tracking.registry import Registry
from tracking.tracker import Tracker

pytestmark = [pytest.mark.end_to_end, pytest.mark.timeout(3600)]
ROOT = Path(__file__).resolve().parents[2]
SMALLER, LARGER = "wan2.1-1.3b", "wan2.1-14b"
ASSETS = (
    "raw_clips", "clip_scores", "filtered_subsets", "condition_features", "training_snapshot", "stage_1_checkpoint", "stage_2_checkpoint",
    "stage_3_checkpoint", "consistency_student", "adversarial_image_student", "distilled_student", "benchmark_sets", "generated_videos",
    "benchmark_scores", "registered_model",
)  # fmt: skip


def shipped(name: str) -> dict:
    return yaml.safe_load((ROOT / "profiles" / f"{name}.yaml").read_text())


def cut_for_two_ranks(weights: Path) -> dict:
    """The larger profile with the flow's cuts, on two ranks, in passes of one sample as shipped."""
    before, cut, profile = leaves(shipped(SMALLER)), leaves(cut_down(weights)), shipped(LARGER)
    changed = {key: value for key, value in cut.items() if before.get(key, "nothing") != value}
    for key, value in changed.items():
        section, _, last = key.rpartition(".")
        at = profile
        for part in section.split("."):
            at = at.setdefault(part, {})
        at[last] = value
    profile["gate"] = cut_down(weights)["gate"]  # without the criteria of networks that are left out
    profile["evaluation"]["benchmarks"] = [
        HELD_OUT
    ]  # strangers and filmed people judge in the flow of people, by the same code
    profile["name"] = LARGER
    # Processors share no tokens through the product; with that said away, two ranks do in tests/training/test_engine.py and test_parity.py.
    profile["adversarial_videos"]["sequence_parallel"] = 1
    return profile


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A home in which everything up to the registered student is made."""
    root = tmp_path_factory.mktemp("wan")
    weights = write_networks(root / "weights")
    # Both name the same layouts; the cuts carry the smaller model's paths over.
    for identity in range(8):
        write_person(root / "clips", identity, f"take-{identity}.mp4")
    (root / "wan.yaml").write_text(yaml.safe_dump(cut_for_two_ranks(weights)))
    run(root, "-m", "orchestration.commands.cli", "ingest", str(root / "clips"))
    run(root, "-c", f"from assets.__main__ import main; import sys; sys.exit(any(main([name]) for name in {ASSETS}))")
    return root


def run(root: Path, *command: str) -> None:
    environment = os.environ | {
        "OMNIHUMAN_HOME": str(root / "home"), "OMNIHUMAN_PROFILE": str(root / "wan.yaml"), "OMNIHUMAN_SET": "", "PYTHONPATH": str(ROOT),
        keys_read.VARIABLE: str(root / "keys_read"),
    }  # fmt: skip
    done = forked.run(
        [sys.executable, "-W", "ignore", *command],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def test_the_larger_profile_ends_in_a_registered_student_under_zero_3(home):
    """Its discriminator's weights were once fetched in another order in the second pass than in the first, which ZeRO-3 refuses."""
    engine = load_profile(str(home / "wan.yaml")).engine
    assert (engine.ranks, engine.precision, engine.micro_batch, engine.zero_stage) == (2, "bf16", 1, 3)
    registry = Registry(Tracker(f"sqlite:///{home / 'home' / 'var' / 'mlflow.db'}"))
    trained = ProductRecord.read(home / "home" / "data" / "distilled_student")
    version = registry.at_alias(STUDENT, CHALLENGER)
    assert version is not None and version.origin.weights_digest == trained.weights_digest


def test_student_and_teacher_are_registered_in_bfloat16_and_hold_once_what_they_have_in_common(home):
    """But for what Wan keeps in float32; and the transformer's file is the training's own, to the byte."""
    registry = Registry(Tracker(f"sqlite:///{home / 'home' / 'var' / 'mlflow.db'}"))
    folders = {name: registry.folder(name, 1) for name in MODELS}
    for name, asset in MODELS.items():
        weights = weights_digest(home / "home" / "data" / asset / "transformer")
        assert weights_digest(folders[name] / "transformer") == weights
    for network in ("vae", "text_encoder", "audio_encoder"):
        (student, teacher) = (next((folder / network).glob("*.safetensors")) for folder in folders.values())
        assert student.samefile(teacher), network


def test_every_key_was_read(home):
    """But for two that are read when a champion is challenged, as in the flow of people."""
    lost = keys_read.unread(yaml.safe_load((home / "wan.yaml").read_text()), home / "keys_read")
    assert not {
        key
        for key in lost
        if not any(below(key, part) for part in ("gate.champion_margin", "gate.headline", *ELSEWHERE))
    }
