"""The whole chain of trainings on an MMDiT, by DeepSpeed in bfloat16: stage, consistency, adversarial images; and what they leave is ours to load."""

import json

from omnihuman.bases.registry import base_at
from omnihuman.pipeline import load_transformer
from tests.training.synthetic import finish, losses, make_job, write_snapshot

MMDIT = [
    "transformer.architecture=hunyuan_video",
    "transformer.num_layers=1",
    "transformer.num_single_layers=2",
    "transformer.ffn_dim=96",
    "transformer.reference_position=zero",
    "engine.precision=bf16",
]


def test_stage_consistency_and_adversarial_images_follow_each_other(tmp_path):
    write_snapshot(tmp_path)
    teacher, student = str(tmp_path / "teacher"), str(tmp_path / "student")
    jobs = [
        make_job(tmp_path, "teacher", "stage", "stage_3", 2, MMDIT),
        make_job(tmp_path, "student", "consistency", "consistency", 2, MMDIT, parent=teacher),
        make_job(
            tmp_path, "last", "adversarial", "adversarial_images", 2, MMDIT, parent=student, diffusion_parent=teacher
        ),
    ]
    for job in jobs:
        finish(job)
        assert losses(job).notna().any().any()
        model = load_transformer(tmp_path / job.name / "transformer")
        assert base_at(tmp_path / job.name / "transformer").architecture == "hunyuan_video" and model.depth == 3
    index = json.loads((tmp_path / "last" / "model_index.json").read_text())
    assert index["transformer"] == ["omnihuman.bases.hunyuan_video", "OmniHumanHunyuanVideoTransformer3DModel"]
