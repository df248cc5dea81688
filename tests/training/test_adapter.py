"""A stage trained with LoRA leaves an adapter: diffusers' own pipeline reads Wan's part of it, and with OmniHuman's part it is the product."""

import json
from pathlib import Path
from typing import Any

import mlflow.diffusers
import pandas as pd
import pytest
import torch
from diffusers import WanPipeline, WanTransformer3DModel

from assets.core.names import TEACHER
from assets.core.workspace import Workspace
from assets.kinds.registration.model_card import model_card
from assets.kinds.registration.promotion import add_adapter
from media import sha256_of_file
from media.records import ProductRecord, SnapshotRecord, TrainedOnRecord
from media.weights import WrongWeights
from omnihuman import OmniHumanTransformer3DModel
from omnihuman.bases.weights import new_weights
from omnihuman.digests import weights_digest
from omnihuman.errors import MissingWeights
from omnihuman.wan.dialects.adapters import read_adapter
from omnihuman.wan.dialects.tensor_files import read_header
from profiles.conditions import SUBSETS
from profiles.schema import LoraConfig
from tests.training.synthetic import finish, make_job, write_snapshot
from training.run.adapter import FOLDER, NEW_PARTS, UPDATES, write_adapter
from training.run.jobs import TrainingJob
from training.run.product import rebuild
from training.stages.lora import add_lora, merged, trained_adapter
from training.stages.model import build_transformer

WAN = {"num_layers": 3, "num_attention_heads": 2, "attention_head_dim": 24, "ffn_dim": 64, "text_dim": 12}
# A rate at which three steps move what the test looks at.
LORA = [
    "stage_1.lora={rank: 3, alpha: 6}",
    "stage_1.optimizer.lr=0.05",
    "stage_1.warmup_steps=1",
    "stage_1.ema_decay=0",
]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingJob]:
    """A tiny Wan's folder, and a stage that trained it with LoRA."""
    root = tmp_path_factory.mktemp("lora")
    torch.manual_seed(0)
    WanTransformer3DModel(**WAN).save_pretrained(root / "wan")
    write_snapshot(root)
    job = make_job(root, "stage", "stage", "stage_1", 3, [*LORA, f"transformer.base={root / 'wan'}"])
    finish(job)
    return root / "wan", job


def told(model: Any) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    latents, text = torch.randn(1, 16, 2, 4, 4, generator=generator), torch.randn(1, 5, 12, generator=generator)
    with torch.no_grad():
        return model.eval()(latents, torch.tensor([300]), text, return_dict=False)[0]


def with_adapter(wan: Path, folder: Path) -> Any:
    """Wan's transformer in a pipeline of diffusers' own, which reads the adapter; the folder is enough, the file is found by its name."""
    plain = WanTransformer3DModel.from_pretrained(wan)
    pipe = WanPipeline(tokenizer=None, text_encoder=None, vae=None, transformer=plain, scheduler=None)
    pipe.load_lora_weights(str(folder))
    return pipe.transformer


def apart(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def test_diffusers_own_pipeline_makes_of_it_what_the_merged_weights_make(trained, tmp_path):
    wan, job = trained
    merged = OmniHumanTransformer3DModel.from_pretrained(Path(job.output) / "transformer")
    merged.save_wan(tmp_path / "merged")
    expected = told(WanTransformer3DModel.from_pretrained(tmp_path / "merged"))
    assert apart(told(WanTransformer3DModel.from_pretrained(wan)), expected) > 1e-3
    assert apart(told(with_adapter(wan, Path(job.output) / FOLDER)), expected) < 1e-6


def test_wan_with_both_files_is_the_product(trained):
    wan, job = trained
    folder, merged = (
        Path(job.output) / FOLDER,
        OmniHumanTransformer3DModel.from_pretrained(Path(job.output) / "transformer"),
    )
    own = {
        name: value
        for name, value in merged.config.items()
        if name.startswith(("audio_", "pose_", "reference_")) and name != "pose_embed_seq_len"
    }
    built = OmniHumanTransformer3DModel.from_wan(wan, **own)
    built.load_new_parts(folder / NEW_PARTS)
    expected = new_weights(merged)
    assert expected and all(torch.equal(value, expected[name]) for name, value in new_weights(built).items())
    built.load_lora_adapter(folder, prefix="transformer", weight_name=UPDATES, use_safetensors=True)
    built.fuse_lora()
    built.unload_lora()
    expected = merged.state_dict()
    assert (
        max(apart(value, expected[name]) for name, value in built.state_dict().items() if expected[name].norm()) < 1e-6
    )
    with pytest.raises(MissingWeights, match="beside the adapter"):
        built.load_new_parts(folder / "other.safetensors")
    with pytest.raises(WrongWeights, match="this model's configuration"):
        OmniHumanTransformer3DModel.from_wan(wan, **own | {"pose_channels": 8}).load_new_parts(folder / NEW_PARTS)


def test_the_record_and_the_file_say_what_it_stands_on(trained):
    wan, job = trained
    folder = Path(job.output) / FOLDER
    said = ProductRecord.read(Path(job.output)).values["adapter"]
    assert said == {
        "digest": sha256_of_file(folder / UPDATES), "new_parts_digest": sha256_of_file(folder / NEW_PARTS), "modules": 24, "rank": 3, "alpha": 6.0,
        "base": "wan", "base_digest": weights_digest(wan),
    }  # fmt: skip
    read = read_adapter(folder / UPDATES)
    assert (read.alpha_from, {(u.rank, u.alpha) for u in read.updates.values()}) == ("metadata", {(3, 6.0)})

    held = read_header(folder / UPDATES).metadata
    assert json.loads(held["base"]) == {"base": "wan", "base_digest": weights_digest(wan)}


def test_the_next_stages_adapter_has_this_ones_in_it(trained, tmp_path):
    wan, job = trained
    following = make_job(tmp_path, "next", "stage", "stage_2", 1, [f"transformer.base={wan}"], parent=job.output)
    model = build_transformer(following.profile, following.parent, 0)
    assert trained_adapter(dict(model.named_parameters()), model) is None  # without LoRA there is none
    add_lora(model, LoraConfig(rank=2, alpha=3, targets=("attn1.to_q", "ffn.net.2")))
    generator = torch.Generator().manual_seed(3)
    weights = {
        name: torch.randn(value.shape, generator=generator) / 4 if ".lora_" in name else value.detach()
        for name, value in model.named_parameters()
    }
    finished = rebuild(model, merged(weights, model))
    said = write_adapter(tmp_path, following, trained_adapter(weights, model), finished)
    assert (said["base"], said["base_digest"], said["modules"]) == ("wan", weights_digest(wan), 24 + 3)
    ranks = {module: update.rank for module, update in read_adapter(tmp_path / FOLDER / UPDATES).updates.items()}
    assert {ranks[f"blocks.0.{name}"] for name in ("self_attn.q", "self_attn.k", "ffn.2")} == {5, 3, 2}
    finished.save_wan(tmp_path / "merged")
    plain = with_adapter(wan, tmp_path / FOLDER)
    assert apart(told(plain), told(WanTransformer3DModel.from_pretrained(tmp_path / "merged"))) < 1e-6


def test_a_registered_version_has_it_in_mlflows_own_flavour_too(trained, tmp_path, monkeypatch):
    wan, job = trained
    monkeypatch.setattr(mlflow.diffusers, "_resolve_base_model_revision", lambda base: None)  # which asks the hub
    add_adapter(tmp_path, Path(job.output) / FOLDER, "wan")
    assert sorted(path.name for path in (tmp_path / FOLDER).iterdir()) == [NEW_PARTS, UPDATES]
    add_adapter(tmp_path / "hub", Path(job.output) / FOLDER, "Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    model = mlflow.diffusers.load_model(str(tmp_path / "hub" / FOLDER / "mlflow"))
    assert model.base_model == "Wan-AI/Wan2.1-T2V-1.3B-Diffusers"
    plain = WanTransformer3DModel.from_pretrained(wan)
    parts: dict[str, Any] = {"tokenizer": None, "text_encoder": None, "vae": None, "scheduler": None}
    WanPipeline(transformer=plain, **parts).save_pretrained(tmp_path / "pipeline")
    loaded = model.load_pipeline(
        base_model=str(tmp_path / "pipeline"), device="cpu", torch_dtype=torch.float32, **parts
    )
    assert torch.equal(told(loaded.transformer), told(with_adapter(wan, Path(job.output) / FOLDER)))


def test_the_card_says_what_it_stands_on(trained, tmp_path):
    wan, job = trained
    workspace = Workspace(tmp_path, job.profile)
    place = workspace.data("training_snapshot")
    place.mkdir(parents=True)
    SnapshotRecord({"digest": "ab" * 32, "counts": dict.fromkeys(("clips", *SUBSETS), 1)}).write(place)
    row = {"model": "teacher", "benchmark": "laptop", "mode": "audio", "metric": "psnr", "value": 20.0, "coverage": 1.0}
    record, clips = ProductRecord.read(Path(job.output)), TrainedOnRecord({"snapshot": "ab", "clips": {"puppets": 1}})
    card = model_card(workspace, TEACHER, 1, record, pd.DataFrame([row]), "a.png", "a.mp4", clips)
    assert f"LoRA of rank 3 and alpha 6 on 24 matrices of `wan` (`{weights_digest(wan)[:12]}`)" in card
    plain = ProductRecord({name: value for name, value in record.values.items() if name != "adapter"})
    assert "LoRA" not in model_card(workspace, TEACHER, 1, plain, pd.DataFrame([row]), "a.png", "a.mp4", clips)
