"""Each broken kind of puppet is turned away by the predicate that it breaks, and clean puppets pass all three."""

import pandas as pd
import pytest

import puppets
from curation.bucket import load_bucket_clip
from curation.scores.clip import score_clip
from curation.subsets.nested_subsets import assign_subsets

SEEDS = range(300, 308)
CLEAN_SEEDS = range(400, 430)
# kind: the strongest subset that it may be in, and what turns it away from the next.
EXPECTED = {
    "wrong_sync": ("text", "mouth_audio_correlation"),
    "no_audio": ("text", "has_audio"),
    "hidden_arms": ("audio", "pose_visibility"),
    "still": (None, "motion"),
    "hard_cut": (None, "cut_score"),
    "overlay_text": (None, "overlay_text"),
}


def subsets_of(kind, seeds, laptop, puppet_bytes) -> pd.DataFrame:
    rows = []
    for seed in seeds:
        clip = load_bucket_clip(puppet_bytes(seed, kind), 64, 64, laptop.video)
        values = score_clip(clip, puppets.PuppetKeypoints(), laptop.video, laptop.transformer.pose_keypoints).values
        rows.append({"clip_id": str(seed), **values})
    return assign_subsets(pd.DataFrame(rows), laptop.curation)


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_a_broken_kind_is_turned_away_by_its_own_predicate(kind, laptop, puppet_bytes):
    strongest, reason = EXPECTED[kind]
    found = subsets_of(kind, SEEDS, laptop, puppet_bytes)
    order = ["text", "audio", "pose"]
    inside = order[: order.index(strongest) + 1] if strongest else []
    assert found[inside].all(axis=None)
    assert not found[[name for name in order if name not in inside]].any(axis=None)
    assert found["rejected_by"].str.contains(reason).all()


def test_clean_puppets_pass_all_three(laptop, puppet_bytes):
    found = subsets_of("clean", CLEAN_SEEDS, laptop, puppet_bytes)
    assert found[["text", "audio", "pose"]].all(axis=1).mean() >= 0.9
