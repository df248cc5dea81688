"""A student's folder: a card for people, and an inference configuration that diffusers' own loader follows."""

import json

import pandas as pd
import pytest
import torch
import yaml

from omnihuman import OmniHumanPipeline
from omnihuman.pipeline import build_pipeline
from profiles import load_profile
from training.distillation.distillation_card import write_card
from training.run.jobs import TrainingJob
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=2"])
REASON = "logit gap above 10 for 20 updates, now 11"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    root = tmp_path_factory.mktemp("card")
    for name, digest in (("consistency_student", "a" * 64), ("stage_3_checkpoint", "b" * 64)):
        (root / name).mkdir()
        (root / name / "record.json").write_text(json.dumps({"weights_digest": digest}))
    job = TrainingJob(
        kind="adversarial",
        name="distilled_student",
        profile_values=PROFILE.model_dump(mode="json"),
        section="adversarial_videos",
        snapshot="s",
        features_root="f",
        output=str(root / "distilled_student"),
        work="w",
        parent=str(root / "consistency_student"),
        diffusion_parent=str(root / "stage_3_checkpoint"),
    )
    student = root / "distilled_student"
    build_transformer(PROFILE, None, 0).save_pretrained(student / "transformer")
    record = {
        "snapshot_digest": "c" * 64,
        "weights_digest": "d" * 64,
        "parameters": 1234567,
        "steps": 60,
        "seconds": 9.5,
        "peak_memory_gib": 1.5,
        "mlflow_run_id": None,
        "section": PROFILE.adversarial_videos.model_dump(mode="json"),
        "rollbacks": [{"step": 30, "back_to": 20, "reason": REASON}],
    }
    write_card(
        student,
        job,
        record,
        pd.DataFrame({"step": [0, 1], "discriminator_loss": [1.4, 1.3], "diversity/seeds": [None, 0.9]}),
    )
    return student


def test_the_card_names_parents_snapshot_recipe_and_roll_backs(folder):
    text = (folder / "README.md").read_text()
    for part in (
        "consistency_student `" + "a" * 16,
        "stage_3_checkpoint `" + "b" * 16,
        "c" * 16,
        "d" * 16,
        "1,234,567",
        REASON,
        "num_inference_steps=2",
    ):
        assert part in text
    recipe = yaml.safe_load(text.split("```yaml")[1].split("```")[0])
    assert recipe == PROFILE.adversarial_videos.model_dump(mode="json")
    assert (folder / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_diffusers_loads_the_folder_for_one_step_and_two_steps_are_two_euler_steps(folder):
    whole = build_pipeline(PROFILE, folder / "transformer", 1)
    encoders = {name: getattr(whole, name) for name in ("vae", "text_encoder", "tokenizer", "audio_encoder")}
    pipe = OmniHumanPipeline.from_pretrained(folder, **encoders)
    assert pipe.config.num_inference_steps == 1 and pipe.config.guidance_scale == 1.0
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    given = {"prompt": "A person talks.", "reference": image, "audio": torch.zeros(1, 17_000), "output_type": "latents"}

    def sample(**more):
        return pipe(**given, generator=torch.Generator().manual_seed(1), **more).frames

    conditions = pipe.encode_conditions(["A person talks."], image, torch.zeros(1, 17_000), {}, 17, 64, 64)
    noise = torch.randn((1, 16, 5, 8, 8), generator=torch.Generator().manual_seed(1))

    def velocity(x, t):
        with torch.no_grad():
            return pipe.transformer(x, torch.full((1,), 1000.0 * t), return_dict=False, **conditions)[0]

    torch.testing.assert_close(sample(), noise - velocity(noise, 1.0), atol=1e-4, rtol=1e-4)
    half = noise - 0.5 * velocity(noise, 1.0)
    two = half - 0.5 * velocity(half, 0.5)
    torch.testing.assert_close(sample(num_inference_steps=2), two, atol=1e-4, rtol=1e-4)
    assert pipe(**given | {"output_type": "frames"}, num_inference_steps=2).frames.shape == (1, 17, 64, 64, 3)
