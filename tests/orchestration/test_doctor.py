"""`omnihuman doctor` looks into a Wan base before anybody trains on it."""

import shutil
from types import SimpleNamespace

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from assets.core.workspace import Workspace
from curation.features.encoders import load_encoders
from omnihuman.errors import InputError
from orchestration.doctor.finding import Finding
from orchestration.doctor.profile_findings import profile_findings
from orchestration.doctor.report import examine
from profiles import load_profile
from tests import published_networks

WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def base(tmp_path):
    torch.manual_seed(0)
    WanTransformer3DModel(
        num_attention_heads=2, attention_head_dim=24, text_dim=32, ffn_dim=64, num_layers=1
    ).save_pretrained(tmp_path / "base")
    return tmp_path / "base"


def finding(folder, source, layers=1):
    sizes = {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": layers}
    profile = load_profile("laptop", [f"transformer.{name}={size}" for name, size in sizes.items()])
    profile = profile.model_copy(update={"transformer": profile.transformer.model_copy(update={"base": source})})
    return next(f for f in examine(SimpleNamespace(profile=profile, root=folder)) if f.name == "base")


def test_a_whole_base_is_reported_with_what_is_loaded_and_what_is_new(base):
    found = finding(base.parent, str(base))
    assert found.ok and "loaded:" in found.message and "blocks.*.audio_attn" in found.message


def test_a_base_with_a_gap_is_found_before_training(base):
    weights = load_file(base / WEIGHTS)
    del weights["proj_out.weight"]
    save_file(weights, base / WEIGHTS)
    found = finding(base.parent, str(base))
    assert not found.ok and "1 missing: proj_out.weight" in found.message and str(base) in found.message


def test_a_base_of_other_sizes_is_found_with_both_sides(base):
    found = finding(base.parent, str(base), layers=4)
    assert not found.ok and "'num_layers': (1, 4)" in found.message and "profile laptop disagree" in found.message


@pytest.mark.parametrize(("width", "ok"), [(384, True), (32, False)])
def test_a_text_encoder_of_another_width_is_found_before_anything_is_encoded(tmp_path, width, ok):
    workspace = Workspace(tmp_path, load_profile("laptop", [f"transformer.text_dim={width}"]))
    (found,) = (one for one in profile_findings(workspace) if one.name == "width of text")
    assert found.ok == ok and "384 numbers a row" in found.message and ok == ("the model takes 32" not in found.message)
    if not ok:
        with pytest.raises(InputError, match="gives 384 numbers a row, and the model takes 32"):
            load_encoders(workspace.profile)


def test_an_absent_base_is_named_and_a_hub_id_is_not_fetched(tmp_path):
    absent = finding(tmp_path, str(tmp_path / "nowhere"))
    assert not absent.ok and "nowhere" in absent.message
    assert finding(tmp_path, "nobody/nothing").ok


def test_a_profile_whose_models_nothing_can_judge_is_told_before_it_trains(tmp_path):
    found = {finding.name: finding for finding in profile_findings(Workspace(tmp_path, load_profile("wan2.1-1.3b")))}
    sets, gate = found["benchmarks"], found["gate"]
    assert not sets.ok and "test_set:celebv-hq" in sets.message and "`omnihuman testset build`" in sets.message
    assert not gate.ok and "./weights/dwpose" in gate.message
    assert all("Nothing is trained that cannot be judged" in finding.message for finding in (sets, gate))
    networks = {name: found[f"network {name}"] for name in ("inception", "i3d", "arcface", "syncnet")}
    assert not any(finding.ok for finding in networks.values()), "all that is missing is said at once"
    assert "evaluation.networks.inception is ./weights/pt_inception" in networks["inception"].message
    assert "take fid, kid out of the gate" in networks["inception"].message and "network qalign" not in found
    assert not found["keypoints"].ok and "./weights/dwpose" in found["keypoints"].message
    own = {finding.name: finding for finding in profile_findings(Workspace(tmp_path, load_profile("laptop")))}
    assert all(finding.ok for finding in own.values()), own
    assert own["benchmarks"].message == "64 puppets" and own["gate"].message.startswith(
        "mouth_correlation (puppets, audio), "
    )


def test_a_text_encoder_without_its_tokenizer_is_named_and_one_beside_it_is_found(tmp_path):
    folder = published_networks.wan_folder(tmp_path / "wan")

    def tokenizer() -> Finding:
        profile = load_profile("laptop", [f"encoders.text={folder}/text_encoder"])
        (found,) = (f for f in profile_findings(Workspace(tmp_path, profile)) if f.name == "tokenizer")
        return found

    assert tokenizer().ok and f"{folder}/tokenizer ({len(published_networks.WORDS)} words)" in tokenizer().message
    shutil.rmtree(folder / "tokenizer")
    assert not tokenizer().ok and f"{folder}/text_encoder" in tokenizer().message


def test_a_network_of_a_score_that_is_not_there_is_named(tmp_path):
    profile = load_profile("laptop", [f"curation.scores.lip_sync={{weights: {tmp_path}/syncnet.model}}"])
    (lip_sync,) = (
        finding for finding in profile_findings(Workspace(tmp_path, profile)) if finding.name == "score lip_sync"
    )
    assert not lip_sync.ok and "syncnet.model" in lip_sync.message
