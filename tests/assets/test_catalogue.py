"""The list of steps is data: every function that it names is there, and what a step depends on is what it was before."""

import dataclasses
import inspect
import json
from typing import get_type_hints

import pytest

from assets.core.catalogue import STEPS
from assets.core.steps import Execution, Metadata
from assets.core.versions import fingerprint
from assets.core.workspace import Workspace
from profiles import load_profile

SHARD = "s-0123456789ab"
# Of the workspace below, computed with the version before steps were data (e0e4a73). One that differs has every home make that
# asset, and all that follows, anew: record another only together with a change that is meant to do so.
FINGERPRINTS = {
    "raw_clips": "ec1780297d0b4d11ed16b5b877975196bab303e2f11be7d34035777122c81fa7",
    "clip_scores": "02648a660627dae4fe475e61b3625294913e7f6eede0960420026527d03257c1",
    "filtered_subsets": "3efffed0d1f9fffd6d55025c3f24dbd59435cfab7ad9d475f025e5c487ec5b38",
    "condition_features": "fa6f8944f44d10029a0eeedc4456b58ecfafc82b327270080d1add45a38300db",
    "training_snapshot": "0e5a16438cef5d0f184caaf2ef754898310bd3b23bf2a131e0cca21e985dc051",
    "stage_1_checkpoint": "8094837d79a2b2eaf7a73c24d840cba854583a0670ea6611f7916e254a4cfc57",
    "stage_2_checkpoint": "e2c4bf32df9e516425c6a498b6ef4519283811fc56f8b56cbd7aa4531773b43c",
    "stage_3_checkpoint": "d6a423d9251aa8fb1f39b0cf565c96076d608d31168b1f663f7bfe2bf95d9359",
    "consistency_student": "c59f711525abdad2bf5d1a19266775f56dec37ca1398d0c12fcc416154603d0a",
    "adversarial_image_student": "108004570af4184016fa9bd33f07cd61211a965f76493e2aaaea719652264d40",
    "distilled_student": "cf97ece4c515146f0efa669bdb1fdf46227b17ce4bf6f8110b0ef72a7db5cb84",
    "benchmark_sets": "4c2991be6230638a59d959a4195704ba261f598b86b68b83e974e77bf0b7b467",
    "generated_videos": "db5f60fc5eea3c2823149dc760f73817ccafe7233f6fe174aad63affd7c38ce3",
    "benchmark_scores": "a3c21d37e352216550a7662e4ab09abdc5bf0488ec916e391447e79b0811e724",
    "baseline_comparison": "15ee1c74972e9df8afbd9e7486d1f92875f17bb05d4d22d77ef5a46bc314e84f",
    "registered_model": "b9707382f2fbfc457ef7b6602c9c7cd24cc27904e6535be30ad70466848fc79a",
    "promoted_champion": "1248c62a20f7e42a8c5777e3b53eccf876f55d25e5b7de41a88da5fc65ae3470",
    "laptop_autoencoder": "ceb7101e35747f24c5ee851137773ba858467bde74c2e170b4a3cd4ea4d26251",
    "slim_decoder": "79550de8918cf7760f3d04e8564196a8d37afb00a09b36ad69d7b58363671107",
    "streaming_student": "f097bdc204af3e4a545d80340843a68cb241805eba0f3b6803dd87100b3908cf",
}


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Every product stands, as the smallest files that its content version can be read from."""
    workspace = Workspace(tmp_path_factory.mktemp("home"), load_profile("laptop", []))
    for step in STEPS.values():
        for name in {step.marker, "record.json"}:
            path = workspace.data(step.name, SHARD if step.sharded else None) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps({"digest": step.name, "weights_digest": step.name}))
    workspace.tombstones.write_text("")
    workspace.start.write_text("{}")
    return workspace


@pytest.mark.parametrize("name", STEPS)
def test_the_function_that_makes_a_step_is_there_and_takes_an_execution(name: str) -> None:
    make = STEPS[name].maker()
    (parameter,) = inspect.signature(make).parameters
    hints = get_type_hints(make)
    assert hints[parameter] is Execution and hints["return"] == Metadata


@pytest.mark.parametrize("name", STEPS)
def test_a_step_depends_on_what_it_depended_on_before(workspace: Workspace, name: str) -> None:
    step = STEPS[name]
    assert fingerprint(workspace, step, SHARD if step.sharded else None, STEPS) == FINGERPRINTS[name]


def test_a_name_that_is_no_function_is_an_error() -> None:
    with pytest.raises(AttributeError, match="make_nothing"):
        dataclasses.replace(STEPS["raw_clips"], make="assets.kinds.raw_clips:make_nothing").maker()
