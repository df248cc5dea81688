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
    "raw_clips": "3c5c3976906a63476e669e4f2ae63a5a96baa5f44537c35288d27a7be7a3bc38",
    "clip_scores": "5ea1f3c43873e3a764c9241d21724c55e767b9f3b8489f00c346b68eb1e087d5",
    "filtered_subsets": "3efffed0d1f9fffd6d55025c3f24dbd59435cfab7ad9d475f025e5c487ec5b38",
    "condition_features": "241433354e42cbbcc484695e0f2606f06c983169023075f105049e2a70b1665b",
    "training_snapshot": "0e5a16438cef5d0f184caaf2ef754898310bd3b23bf2a131e0cca21e985dc051",
    "stage_1_checkpoint": "8094837d79a2b2eaf7a73c24d840cba854583a0670ea6611f7916e254a4cfc57",
    "stage_2_checkpoint": "e2c4bf32df9e516425c6a498b6ef4519283811fc56f8b56cbd7aa4531773b43c",
    "stage_3_checkpoint": "580bd46ce20c3c4e5bac53c4f4ffedf8804316f5676159217dd024f097f288ff",
    "consistency_student": "c59f711525abdad2bf5d1a19266775f56dec37ca1398d0c12fcc416154603d0a",
    "adversarial_image_student": "108004570af4184016fa9bd33f07cd61211a965f76493e2aaaea719652264d40",
    "distilled_student": "cf97ece4c515146f0efa669bdb1fdf46227b17ce4bf6f8110b0ef72a7db5cb84",
    "benchmark_sets": "ea5a4ae46b04bc17f3f5a7a0dde1758fdc39a8bc3eb271623d63bf62cf289f9f",
    "generated_videos": "2683ca1177d3ffa01d72f4ac2d03c51d044a1665b839cfe87c24ac3a7eb1ce2f",
    "benchmark_scores": "baa16817bf88dd7f42a173b756f406dd2ce323d640c7b4317d686661fa3780b2",
    "baseline_comparison": "c28abde914ecc013ad2bc51abd528ccd435e6a81d60af2a7952ebf5e0db090ce",
    "registered_model": "c5c1702085492b0d0f83861c0a88a14ded12d47b0bc2452c15b0713793113253",
    "promoted_champion": "734043f7860ac5161b7043ed4977892e0e1d330989084fe8fc6f46d852b8c1a4",
    "laptop_autoencoder": "ceb7101e35747f24c5ee851137773ba858467bde74c2e170b4a3cd4ea4d26251",
    "slim_decoder": "66e13537d9617eca37d28b97a72f22446ff505f53a03ba9e9d08da2499df1321",
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
