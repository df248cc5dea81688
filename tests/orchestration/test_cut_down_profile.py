"""The flow of people runs a published profile cut down: each of its keys is there as shipped, or is named here as cut or as exercised elsewhere."""

from pathlib import Path

import pytest
import yaml

from tests.keys_read import below, leaves
from tests.orchestration.test_people_flow import ELSEWHERE, cut_down

ROOT = Path(__file__).resolve().parents[2]
STAGES, PHASES = ("stage_1", "stage_2", "stage_3", "consistency"), ("adversarial_images", "adversarial_videos")
# Sizes and steps, paths, and bounds that no untrained network meets.
CUT = {
    *(f"video.{key}" for key in ("height", "width", "frames", "reference_gap", "windows_per_clip", "buckets")),
    *(f"encoders.{key}" for key in ("autoencoder", "text", "text_tokens", "audio", "audio_states", "keypoints")),
    *(f"transformer.{key}" for key in ("base", "num_layers", "num_attention_heads", "attention_head_dim", "ffn_dim")),
    *(f"transformer.{key}" for key in ("text_dim", "audio_dim", "audio_layers", "pose_channels")),
    *(f"curation.{key}" for key in ("shard_clips", "min_seconds", "text", "audio")),
    *(f"engine.{key}" for key in ("ranks", "checkpoint_every")),
    *(f"{stage}.{key}" for stage in STAGES for key in ("steps", "batch_size", "warmup_steps")),
    *(f"{phase}.{key}" for phase in PHASES for key in ("steps", "batch_size")),
    *(f"evaluation.{key}" for key in ("held_out_people", "clips", "teacher_steps", "bootstrap")),
    *(f"evaluation.networks.{key}" for key in ("i3d", "arcface")),
    "adversarial_images.micro_batch", "consistency.grid", "gate.headline", "evaluation.benchmarks",
}  # fmt: skip


@pytest.fixture(scope="module")
def shipped():
    return leaves(yaml.safe_load((ROOT / "profiles" / "wan2.1-1.3b.yaml").read_text()))


def test_every_key_is_as_shipped_or_named_as_cut(shipped):
    found = leaves(cut_down(Path("weights")))
    changed = {key for key, value in shipped.items() if found.get(key, "gone") != value}
    elsewhere = {key for key in changed if any(below(key, part) for part in ELSEWHERE)}
    assert changed - elsewhere == CUT, "cut_down changes other keys than CUT says"
    assert not set(found) - set(shipped)


def test_tests_that_read_the_rest_are_there(shipped):
    """That each other key is read is recorded in the runs themselves."""
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())
    assert all(any(below(key, part) for key in shipped) for part in ELSEWHERE)


def test_the_other_published_profile_has_the_same_keys(shipped):
    other = set(leaves(yaml.safe_load((ROOT / "profiles" / "wan2.1-14b.yaml").read_text())))
    assert other == set(shipped)
