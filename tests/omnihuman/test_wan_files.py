"""Single files of Wan's transformer as a base: loaded right whoever wrote them, or refused by name; never with wrong numbers."""

import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from assets.core.workspace import Workspace
from media.user_error import UserError
from media.weights import WrongWeights
from omnihuman import OmniHumanTransformer3DModel
from omnihuman.bases.checkpoint import CheckpointError
from omnihuman.wan.dialects.files import convert_file
from omnihuman.wan.dialects.transformers import TransformerFileError
from profiles import load_profile
from serving.inputs import GenerateError
from serving.model_choice import load_model
from tests.omnihuman.test_weight_dialects import TINY
from tests.training.synthetic import TINY as PROFILE
from training.stages.model import build_transformer

PREFIXES = {"original": "", "diffusion_model": "diffusion_model.", "comfy": "model.diffusion_model.", "diffusers": ""}
FIRST = "blocks.0.self_attn.q"
SIZES = ("num_layers", "num_attention_heads", "attention_head_dim", "ffn_dim", "text_dim", "freq_dim")


@pytest.fixture(scope="module")
def wan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Wan and its weights in one file of each kind, without a configuration beside them."""
    place = tmp_path_factory.mktemp("wan")
    torch.manual_seed(0)
    WanTransformer3DModel(**TINY).save_pretrained(place / "folder")
    (place / "files").mkdir()
    (whole,) = (place / "folder").glob("*.safetensors")
    convert_file(place / "folder", "original", place / "files" / "original.safetensors")
    held = load_file(place / "files" / "original.safetensors")
    for name, prefix in PREFIXES.items():
        keys = load_file(whole) if name == "diffusers" else {f"{prefix}{key}": value for key, value in held.items()}
        save_file(keys, place / "files" / f"{name}.safetensors")
    return place


def built_from(base: Path) -> Any:
    """As a first stage begins with it."""
    sizes = [f"transformer.{key}={TINY[key]}" for key in SIZES]
    return build_transformer(load_profile("laptop", [*PROFILE, *sizes, f"transformer.base={base}"]), None, 0)


@pytest.mark.parametrize("name", PREFIXES)
def test_one_file_is_read_by_its_keys_and_shapes(wan: Path, name: str) -> None:
    found = built_from(wan / "files" / f"{name}.safetensors").state_dict()
    expected = WanTransformer3DModel.from_pretrained(wan / "folder").state_dict()
    assert all(torch.equal(found[key], value) for key, value in expected.items())


def test_a_foreign_file_beside_diffusers_configuration_is_read_by_its_keys(wan: Path, tmp_path: Path) -> None:
    file, config = tmp_path / "wan.safetensors", (wan / "folder" / "config.json").read_text()
    (tmp_path / "config.json").write_text(config)
    held = load_file(wan / "files" / "comfy.safetensors")
    save_file(held, file)
    assert OmniHumanTransformer3DModel.inspect_wan(file).loaded
    again = held | {f"{FIRST}.weight": held[f"model.diffusion_model.{FIRST}.weight"].clone()}
    save_file(again, file)
    with pytest.raises(CheckpointError, match="keys under the names of two tools"):
        OmniHumanTransformer3DModel.from_wan(file)


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
@pytest.mark.parametrize("rows", [False, True])
@pytest.mark.parametrize(
    ("kind", "scales", "inputs"),
    [
        (torch.float8_e4m3fn, "scale_weight", "scale_input"),
        (torch.float8_e4m3fn, "weight_scale", "input_scale"),
        (torch.float8_e5m2, "scale_weight", ""),
    ],
)
def test_fp8_beside_its_scales_is_what_it_stands_for(wan: Path, tmp_path: Path, kind: torch.dtype, scales: str, inputs: str, rows: bool, prefix: str) -> None:  # fmt: skip
    held = load_file(wan / "files" / "original.safetensors")
    expected = WanTransformer3DModel.from_pretrained(wan / "folder").state_dict()
    names = {FIRST: "blocks.0.attn1.to_q", "blocks.1.ffn.0": "blocks.1.ffn.net.0.proj"}
    for name, ours in names.items():
        weight = held[f"{name}.weight"]
        scale = (weight.abs().amax(dim=1) if rows else weight.abs().max()) / torch.finfo(kind).max
        small = (weight / (scale[:, None] if rows else scale)).to(kind)
        held |= {f"{name}.weight": small, f"{name}.{scales}": scale}
        held |= {f"{name}.{inputs}": torch.tensor(3.0)} if inputs else {}
        product = small.float() * (scale[:, None] if rows else scale)
        assert (product - weight).norm() / weight.norm() < 0.08, "near what it was made of"
        expected[f"{ours}.weight"] = product.bfloat16().float()
    held["scaled_fp8"] = torch.zeros(2, dtype=kind)
    save_file({f"{prefix}{key}": value for key, value in held.items()}, tmp_path / "fp8.safetensors")
    found = built_from(tmp_path / "fp8.safetensors").state_dict()
    for key, value in expected.items():
        assert torch.equal(found[key].float(), value), key
    assert OmniHumanTransformer3DModel.inspect_wan(tmp_path / "fp8.safetensors").dtypes[
        "F8_E4M3" if kind == torch.float8_e4m3fn else "F8_E5M2"
    ] == len(names)


def test_a_scale_that_is_of_blocks_is_refused_with_both_shapes(wan: Path, tmp_path: Path) -> None:
    held = load_file(wan / "files" / "original.safetensors")
    held[f"{FIRST}.weight"] = held[f"{FIRST}.weight"].to(torch.float8_e4m3fn)
    save_file(held | {f"{FIRST}.scale_weight": torch.ones(2, 2)}, tmp_path / "blocks.safetensors")
    with pytest.raises(CheckpointError, match=r"scale_weight is \(2, 2\) in F32, and blocks.0.self_attn.q.weight is"):
        built_from(tmp_path / "blocks.safetensors")


@pytest.mark.parametrize(
    ("kind", "scales"),
    [
        *((torch.int8, scales) for scales in ("scale_weight", "weight_scale", "scaling", "")),
        (torch.float8_e4m3fn, "scaling"),
        (torch.float8_e4m3fn, ""),
    ],
)
def test_numbers_of_eight_bits_are_refused_where_no_scale_of_a_known_name_is_beside_them(wan: Path, tmp_path: Path, kind: torch.dtype, scales: str) -> None:  # fmt: skip
    held = load_file(wan / "files" / "original.safetensors")
    held[f"{FIRST}.weight"] = held[f"{FIRST}.weight"].to(kind)
    if scales:
        held[f"{FIRST}.{scales}"] = torch.tensor(2.0)
    save_file(held, tmp_path / "small.safetensors")
    with pytest.raises(CheckpointError, match="weights in (F8_E4M3|I8), such as blocks.0.self_attn.q.weight"):
        built_from(tmp_path / "small.safetensors")


@pytest.mark.parametrize("kind", [torch.float8_e4m3fn, torch.int8])
def test_a_saved_model_in_eight_bits_is_refused(tmp_path: Path, kind: torch.dtype) -> None:
    profile = load_profile("laptop", PROFILE)
    build_transformer(profile, None, 0).save_pretrained(tmp_path)
    (file,) = tmp_path.glob("*.safetensors")
    held = load_file(file)
    held["blocks.0.attn1.to_q.weight"] = held["blocks.0.attn1.to_q.weight"].to(kind)
    save_file(held, file, {"format": "pt"})
    with pytest.raises(WrongWeights, match="weights in (F8_E4M3|I8), such as blocks.0.attn1.to_q.weight"):
        OmniHumanTransformer3DModel.from_pretrained(tmp_path)


def test_scales_of_numbers_that_are_whole_are_refused(wan: Path, tmp_path: Path) -> None:
    """Whoever made them means that the weights are multiplied."""
    held = load_file(wan / "files" / "original.safetensors") | {f"{FIRST}.scale_weight": torch.tensor(2.0)}
    save_file(held, tmp_path / "scaled.safetensors")
    with pytest.raises(CheckpointError, match="left over: blocks.0.self_attn.q.scale_weight"):
        built_from(tmp_path / "scaled.safetensors")


def gguf(path: Path, architecture: bytes) -> Path:
    key = b"general.architecture"
    head = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    path.write_bytes(head + struct.pack("<IQ", 8, len(architecture)) + architecture)
    return path


def test_what_is_no_safetensors_is_refused_by_name_wherever_a_path_is_taken(tmp_path: Path) -> None:
    (tmp_path / "wan.pt").write_bytes(b"PK\x03\x04" + bytes(64))
    cases = {
        gguf(tmp_path / "wan.gguf", b"wan"): r"wan.gguf is a GGUF file \(wan\)",
        gguf(tmp_path / "renamed.safetensors", b"llama"): r"renamed.safetensors is a GGUF file \(llama\)",
        tmp_path / "wan.pt": "wan.pt is a pickle",
    }
    workspace = Workspace(tmp_path, load_profile("laptop", PROFILE))
    for file, said in cases.items():
        with pytest.raises(CheckpointError, match=said):
            built_from(file)
        with pytest.raises(GenerateError, match=f"{file.name} is one file, and a video takes a whole pipeline"):
            load_model(workspace, str(file))
    (tmp_path / "cut.gguf").write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match="of an unknown architecture"):
        built_from(tmp_path / "cut.gguf")


def test_one_file_that_is_no_wan_says_so(tmp_path: Path) -> None:
    save_file({"blocks.0.attn.weight": torch.ones(2, 2)}, tmp_path / "other.safetensors")
    with pytest.raises(TransformerFileError, match="no block of a Wan transformer"):
        built_from(tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(b"\x08")
    with pytest.raises(UserError, match="cut.safetensors is no safetensors file"):
        built_from(tmp_path / "cut.safetensors")
