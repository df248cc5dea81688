"""The flow of people runs a published profile cut down: each of its keys is there as shipped, or is named here as cut or as exercised elsewhere."""

from pathlib import Path

import pytest
import yaml

from assets.core.catalogue import FLOW
from tests.orchestration.test_people_flow import cut_down

ROOT = Path(__file__).resolve().parents[2]
STAGES, PHASES = ("stage_1", "stage_2", "stage_3", "consistency"), ("adversarial_images", "adversarial_videos")
# Sizes and steps, paths, and bounds that no untrained network meets.
CUT = {
    *(f"video.{key}" for key in ("height", "width", "frames", "reference_gap", "windows_per_clip", "buckets")),
    *(f"encoders.{key}" for key in ("autoencoder", "text", "text_tokens", "audio", "keypoints")),
    *(f"transformer.{key}" for key in ("base", "num_layers", "num_attention_heads", "attention_head_dim", "ffn_dim")),
    *(f"transformer.{key}" for key in ("text_dim", "audio_dim", "audio_layers", "pose_channels")),
    *(f"curation.{key}" for key in ("shard_clips", "min_seconds", "text", "audio")),
    *(f"engine.{key}" for key in ("ranks", "micro_batch", "checkpoint_every")),
    *(f"{stage}.{key}" for stage in STAGES for key in ("steps", "batch_size", "warmup_steps")),
    *(f"{phase}.{key}" for phase in PHASES for key in ("steps", "batch_size")),
    *(f"evaluation.{key}" for key in ("held_out_people", "clips", "teacher_steps", "bootstrap")),
    *(f"evaluation.networks.{key}" for key in ("i3d", "arcface")),
    "adversarial_images.micro_batch", "consistency.grid", "gate.headline", "evaluation.benchmarks",
}  # fmt: skip
# What the profile leaves to its defaults, and the run does not.
ADDED = {"video.batch_multiple", "adversarial_videos.micro_batch"}
# What the run leaves out, and the test that has it.
ELSEWHERE = {
    "evaluation.networks.syncnet": "tests/assets/test_published_judges.py",
    "evaluation.networks.inception": "tests/assets/test_published_judges.py",
    "gate.criteria.sync": "tests/assets/test_published_judges.py",
    "gate.criteria.strangers": "tests/assets/test_gate_on_people.py",
    "gate.criteria.fid": "tests/assets/test_published_judges.py",
    "slim_decoder": "tests/training/test_slim_decoder.py",
    "continuation": "tests/orchestration/test_time_lapse.py",
}
# Keys that decide no asset's result, and so stand in no step's sections; taking clips in and every training read them.
OF_THE_RUN = {
    "curation.shard_clips",
    "engine.micro_batch",
    "name",
    "engine.ranks",
    "engine.checkpoint_every",
    "engine.keep_checkpoints",
    "engine.activation_checkpointing",
}


def leaves(values: object, path: str = "") -> dict[str, object]:
    if not isinstance(values, dict) or not values:
        return {path: values}
    return {k: v for key, value in values.items() for k, v in leaves(value, f"{path}.{key}".lstrip(".")).items()}


def below(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


@pytest.fixture(scope="module")
def shipped():
    return leaves(yaml.safe_load((ROOT / "profiles" / "wan2.1-1.3b.yaml").read_text()))


def test_every_key_is_as_shipped_or_named_as_cut(shipped):
    found = leaves(cut_down(Path("weights")))
    changed = {key for key, value in shipped.items() if found.get(key, "gone") != value}
    elsewhere = {key for key in changed if any(below(key, part) for part in ELSEWHERE)}
    assert changed - elsewhere == CUT, "cut_down changes other keys than CUT says"
    assert set(found) - set(shipped) == ADDED


def test_every_key_belongs_to_a_step_that_the_flow_makes_or_to_another_test(shipped):
    sections = {section for step in FLOW for section in step.sections}
    lost = {
        key for key in shipped
        if not any(below(key, section) or below(section, key) for section in sections)
        and not any(below(key, part) for part in (*ELSEWHERE, *OF_THE_RUN))
    }  # fmt: skip
    assert not lost, "the cut-down run does not exercise them: name the test that does"
    assert all((ROOT / test).is_file() for test in ELSEWHERE.values())


def test_the_other_published_profile_has_the_same_keys(shipped):
    other = set(leaves(yaml.safe_load((ROOT / "profiles" / "wan2.1-14b.yaml").read_text())))
    assert other == set(shipped)
