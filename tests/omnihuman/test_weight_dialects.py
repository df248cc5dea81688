"""Files of Wan weights as diffusers, peft, kohya's trainers, Wan's own code and ComfyUI write them: known weights in, the same weights out."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import WanTransformer3DModel
from diffusers.loaders.single_file_utils import convert_wan_transformer_to_diffusers
from diffusers.pipelines.wan.pipeline_wan import WanPipeline
from safetensors.torch import load_file, save_file
from torch import Tensor

from omnihuman.errors import InputError, MissingWeights
from omnihuman.wan.checkpoint import open_wan
from omnihuman.wan.dialects.adapters import ADAPTER_DIALECTS, METADATA, AdapterError, read_adapter
from omnihuman.wan.dialects.files import convert_file, inspect_file
from omnihuman.wan.dialects.names import flattened, key_to_diffusers, key_to_original, to_original, unflattened
from omnihuman.wan.dialects.tensor_files import TensorFileError, read_header
from omnihuman.wan.dialects.transformers import TRANSFORMER_DIALECTS, TransformerFileError

TINY: dict[str, Any] = {
    "num_layers": 2, "num_attention_heads": 1, "attention_head_dim": 128, "ffn_dim": 24, "text_dim": 8, "freq_dim": 16,
}  # fmt: skip
IMAGE: dict[str, Any] = {"image_dim": 12, "added_kv_proj_dim": 128, "in_channels": 36}


@pytest.fixture(scope="module")
def wan() -> Any:
    torch.manual_seed(0)
    return WanTransformer3DModel(**TINY).eval()


@pytest.fixture(scope="module")
def folder(wan: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("wan")
    wan.save_pretrained(out, max_shard_size="300KB")
    assert len(list(out.glob("*.safetensors"))) > 1
    return out


def updates(wan: Any, dtype: torch.dtype = torch.float32) -> dict[str, tuple[Tensor, Tensor, float]]:
    """Down, up and alpha of every matrix in the blocks, by diffusers' name: rank 4 and alpha 2, of feed-forwards rank 6 and alpha 6."""
    generator = torch.Generator().manual_seed(1)
    out = {}
    for name, module in wan.named_modules():
        if name.startswith("blocks.") and isinstance(module, torch.nn.Linear):
            rank = 6 if "ffn" in name else 4
            down = torch.randn(rank, module.in_features, generator=generator) / 8
            up = torch.randn(module.out_features, rank, generator=generator) / 8
            out[name] = (down.to(dtype), up.to(dtype), 6.0 if "ffn" in name else 2.0)
    return out


def kohya_file(path: Path, of: dict[str, tuple[Tensor, Tensor, float]]) -> Path:
    tensors: dict[str, Tensor] = {}
    for name, (down, up, alpha) in of.items():
        stem = f"lora_unet_{flattened(to_original(name) or '')}"
        tensors |= {f"{stem}.lora_down.weight": down, f"{stem}.lora_up.weight": up}
        tensors[f"{stem}.alpha"] = torch.tensor(alpha, dtype=down.dtype)
    save_file(tensors, path)
    return path


def test_every_key_has_one_name_in_either_dialect() -> None:
    for more in ({}, IMAGE):
        with torch.device("meta"):
            keys = list(WanTransformer3DModel(**TINY, **more).state_dict())
        own = [key_to_original(key) for key in keys]
        assert len(set(own)) == len(keys) and None not in own
        assert [key_to_diffusers(key or "") for key in own] == keys
        theirs = convert_wan_transformer_to_diffusers({key: key for key in own})
        assert theirs == {key: key_to_original(key) for key in keys}
        for key in own:
            module = (key or "").removesuffix(".weight").removesuffix(".bias")
            assert unflattened(flattened(module)) == module


@pytest.mark.parametrize("way", [["original", "comfy", "diffusers"], ["comfy", "diffusers"], ["original", "diffusers"]])
def test_a_transformer_comes_back_bit_by_bit(wan: Any, folder: Path, tmp_path: Path, way: list[str]) -> None:
    place = folder
    for number, dialect in enumerate(way):
        target = tmp_path / f"{number}"
        convert_file(place, dialect, target)
        report = inspect_file(target)
        assert (report.what, report.dialect, report.whole) == ("transformer", dialect, True)
        place = target
    again = WanTransformer3DModel.from_pretrained(place)
    assert again.config.num_attention_heads == 1
    expected = wan.state_dict()
    assert all(torch.equal(value, expected[key]) for key, value in again.state_dict().items())
    assert len(list(place.glob("*.safetensors"))) == len(list(folder.glob("*.safetensors")))


def test_wans_own_layout_is_read_by_the_model(wan: Any, folder: Path, tmp_path: Path) -> None:
    convert_file(folder, "original", tmp_path / "original")
    opened = open_wan(tmp_path / "original")
    assert opened.layout == "original"
    opened.compare({key: value.shape for key, value in wan.state_dict().items()})


def test_one_file_of_all_shards(wan: Any, folder: Path, tmp_path: Path) -> None:
    convert_file(folder, "comfy", tmp_path / "all.safetensors")
    held = load_file(tmp_path / "all.safetensors")
    assert len(held) == len(wan.state_dict())
    assert torch.equal(
        held["model.diffusion_model.blocks.1.cross_attn.o.bias"], wan.blocks[1].attn2.to_out[0].bias.data
    )


def attached(wan: Any, path: Path) -> Any:
    """A copy of the transformer with the LoRA that diffusers' own pipeline loads from a file."""
    copy: Any = WanTransformer3DModel(**TINY).eval()
    copy.load_state_dict(wan.state_dict())
    pipe = WanPipeline(tokenizer=None, text_encoder=None, vae=None, transformer=copy, scheduler=None)
    pipe.load_lora_weights(str(path.parent), weight_name=path.name)
    return copy


def told(model: Any) -> Tensor:
    generator = torch.Generator().manual_seed(2)
    latents = torch.randn(1, 16, 2, 4, 4, generator=generator)
    text = torch.randn(1, 5, 8, generator=generator)
    with torch.no_grad():
        return model(latents, torch.tensor([300]), text, return_dict=False)[0]


@pytest.mark.parametrize("dialect", ["diffusers", "kohya", "original"])
def test_diffusers_pipeline_loads_what_was_converted_as_the_merged_weights(
    wan: Any, tmp_path: Path, dialect: str
) -> None:
    of = updates(wan)
    path = tmp_path / f"{dialect}.safetensors"
    if dialect == "kohya":
        convert_file(kohya_file(tmp_path / "first.safetensors", of), "diffusers", tmp_path / "between.safetensors")
        convert_file(tmp_path / "between.safetensors", "kohya", path)
    else:
        convert_file(kohya_file(tmp_path / "first.safetensors", of), dialect, path)
    merged: Any = WanTransformer3DModel(**TINY).eval()
    merged.load_state_dict(wan.state_dict())
    with torch.no_grad():
        for name, (down, up, alpha) in of.items():
            merged.get_submodule(name).weight += (alpha / down.shape[0] * (up.double() @ down.double())).float()
    expected, found = told(merged), told(attached(wan, path))
    assert (expected - told(wan)).abs().max() > 1e-2 * expected.abs().max()
    assert (found - expected).abs().max() < 2e-6 * expected.abs().max()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("between", ["diffusers", "peft", "original"])
def test_a_lora_comes_back_bit_by_bit(wan: Any, tmp_path: Path, between: str, dtype: torch.dtype) -> None:
    first = kohya_file(tmp_path / "first.safetensors", updates(wan, dtype))
    middle = tmp_path / ("peft" if between == "peft" else "middle.safetensors")
    convert_file(first, between, middle)
    convert_file(middle, "kohya", tmp_path / "last.safetensors")
    before, after = load_file(first), load_file(tmp_path / "last.safetensors")
    assert before.keys() == after.keys()
    assert all(before[key].dtype == after[key].dtype and torch.equal(before[key], after[key]) for key in before)


def test_peft_reads_its_folder(wan: Any, tmp_path: Path) -> None:
    from peft import PeftModel

    of = updates(wan)
    convert_file(kohya_file(tmp_path / "first.safetensors", of), "peft", tmp_path / "peft")
    copy: Any = WanTransformer3DModel(**TINY)
    copy.load_state_dict(wan.state_dict())
    model: Any = PeftModel.from_pretrained(copy, str(tmp_path / "peft")).merge_and_unload()
    down, up, alpha = of["blocks.1.ffn.net.2"]
    expected = wan.blocks[1].ffn.net[2].weight + alpha / 6 * up @ down
    assert torch.allclose(model.blocks[1].ffn.net[2].weight, expected, atol=1e-6)


def test_a_lora_is_told_apart_and_its_alpha_is_found(wan: Any, tmp_path: Path) -> None:
    first = kohya_file(tmp_path / "first.safetensors", updates(wan))
    for dialect in ADAPTER_DIALECTS:
        if dialect == "kohya":
            path = first
        else:
            path = tmp_path / ("peft" if dialect == "peft" else f"{dialect}.safetensors")
            convert_file(first, dialect, path)
        report = inspect_file(path)
        assert (report.what, report.dialect) == ("lora", dialect)
        assert report.ranks == {4: 16, 6: 4} and report.alphas == {2.0: 16, 6.0: 4}
        assert dialect not in report.becomes and len(report.becomes) == 3
        assert "LoRA" in str(report) and json.dumps(report.as_dict())
    said = {read_adapter(tmp_path / name).alpha_from for name in ("diffusers.safetensors", "peft")}
    assert said == {"metadata", "adapter_config.json"}


def test_a_lora_without_alpha_counts_as_diffusers_counts_it(wan: Any, tmp_path: Path) -> None:
    down, up, _ = updates(wan)["blocks.0.attn1.to_q"]
    save_file(
        {"transformer.blocks.0.attn1.to_q.lora_A.weight": down, "transformer.blocks.0.attn1.to_q.lora_B.weight": up},
        tmp_path / "a.safetensors",
    )
    read = read_adapter(tmp_path / "a.safetensors")
    assert read.updates["blocks.0.self_attn.q"].alpha == 4.0 and read.alpha_from == "rank"


def with_pair(stem: str, rank: int = 4, down: str = "lora_down", up: str = "lora_up") -> dict[str, Tensor]:
    return {f"{stem}.{down}.weight": torch.zeros(rank, 128), f"{stem}.{up}.weight": torch.zeros(128, rank)}


KOHYA = "lora_unet_blocks_0_self_attn_q"
BAD_ADAPTERS = {
    "mixed dialects": (
        with_pair(KOHYA) | {f"{KOHYA}.alpha": torch.tensor(4.0)} | with_pair("diffusion_model.blocks.0.self_attn.k"),
        r"mixes original keys \(diffusion_model.*and kohya keys \(lora_unet_blocks_0_self_attn_q",
    ),
    "another model": (with_pair("lora_unet_down_blocks_0_attentions_0_proj_in"), "of another base model"),
    "rank 0": (with_pair(KOHYA, rank=0), "rank 0 changes nothing"),
    "half": ({f"{KOHYA}.lora_down.weight": torch.zeros(4, 128)}, "half of the update of blocks.0.self_attn.q"),
    "no alpha": (with_pair(KOHYA), "--alpha NUMBER"),
    "some alpha": (
        with_pair(KOHYA) | {f"{KOHYA}.alpha": torch.tensor(4.0)} | with_pair("lora_unet_blocks_1_ffn_0"),
        "holds alpha of 1 modules, blocks.0.self_attn.q among them, and none of blocks.1.ffn.0",
    ),
    "alpha of two numbers": (with_pair(KOHYA) | {f"{KOHYA}.alpha": torch.tensor([4.0, 1.0])}, "alpha is one number"),
    "DoRA": (with_pair(KOHYA) | {f"{KOHYA}.dora_scale": torch.ones(128)}, "DoRA"),
    "twice": (with_pair("diffusion_model.blocks.0.self_attn.q") | with_pair("blocks.0.self_attn.q"), "twice"),
    "differences": (with_pair(KOHYA) | {"diffusion_model.head.head.diff_b": torch.ones(2)}, "differences of biases"),
}


@pytest.mark.parametrize("case", BAD_ADAPTERS)
def test_a_bad_lora_is_refused_by_name(tmp_path: Path, case: str) -> None:
    tensors, message = BAD_ADAPTERS[case]
    save_file(tensors, tmp_path / "bad.safetensors")
    with pytest.raises(AdapterError, match=message) as refused:
        convert_file(tmp_path / "bad.safetensors", "diffusers", tmp_path / "out.safetensors")
    assert "bad.safetensors" in str(refused.value)
    assert not (tmp_path / "out.safetensors").exists()


def test_alpha_that_a_person_gives_is_taken(tmp_path: Path) -> None:
    save_file(with_pair(KOHYA), tmp_path / "a.safetensors")
    convert_file(tmp_path / "a.safetensors", "diffusers", tmp_path / "b.safetensors", alpha=2.0)
    assert json.loads(read_header(tmp_path / "b.safetensors").metadata[METADATA])["transformer.lora_alpha"] == 2.0


def original(wan: Any) -> dict[str, Tensor]:
    return {key_to_original(key) or "": value.clone() for key, value in wan.state_dict().items()}


def test_bad_transformers_are_refused_by_name(wan: Any, tmp_path: Path) -> None:
    def refused(name: str, tensors: dict[str, Tensor], error: type[Exception], message: str) -> None:
        path = tmp_path / f"{name}.safetensors"
        save_file(tensors, path)
        with pytest.raises(error, match=message) as raised:
            convert_file(path, "diffusers", tmp_path / "out.safetensors")
        assert path.name in str(raised.value)

    whole = original(wan)
    refused("mixed", whole | {"blocks.0.attn1.to_q.weight": torch.zeros(128, 128)}, TransformerFileError,
            r"mixes diffusers keys \(blocks.0.attn1.to_q.weight\) and original keys")  # fmt: skip
    refused("other", {"double_blocks.0.img_mod.lin.weight": torch.zeros(2)}, TransformerFileError, "of another model")
    refused("vace", whole | {"vace_blocks.0.self_attn.q.weight": torch.zeros(2)}, TransformerFileError, "vace_blocks.0")
    refused("part", {k: v for k, v in whole.items() if "blocks.1.ffn" not in k}, InputError, "lacks 4 keys")
    small = whole | {"blocks.0.self_attn.q.weight": whole["blocks.0.self_attn.q.weight"].to(torch.float8_e4m3fn)}
    scaled = small | {"blocks.0.self_attn.q.scale_weight": torch.tensor(2.0)}
    refused("small", small, TransformerFileError, "F8_E4M3")
    refused("scaled", scaled, TransformerFileError, "scale_weight")
    refused("strange", small | {"blocks.0.self_attn.q.mx_scale": torch.tensor(2.0)}, TransformerFileError, "mx_scale")


def test_scaled_weights_keep_their_scales_and_are_refused_without(wan: Any, tmp_path: Path) -> None:
    tensors = original(wan)
    name = "blocks.0.self_attn.q"
    tensors[f"{name}.weight"] = tensors[f"{name}.weight"].to(torch.float8_e4m3fn)
    marked = tensors | {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}
    save_file(marked | {f"{name}.scale_weight": torch.tensor(2.0)}, tmp_path / "scaled.safetensors")
    report = inspect_file(tmp_path / "scaled.safetensors")
    assert report.scales == 1 and report.kinds["F8_E4M3"] == 1 and report.becomes == ("comfy",) and report.whole
    convert_file(tmp_path / "scaled.safetensors", "comfy", tmp_path / "comfy.safetensors")
    held = read_header(tmp_path / "comfy.safetensors").tensors
    assert held[f"model.diffusion_model.{name}.scale_weight"].read() == struct.pack("<f", 2.0)
    assert "model.diffusion_model.scaled_fp8" in held
    save_file(marked, tmp_path / "lost.safetensors")
    with pytest.raises(TransformerFileError, match="without them they are other numbers"):
        convert_file(tmp_path / "lost.safetensors", "comfy", tmp_path / "out.safetensors")


def test_files_that_are_none_are_refused_by_name(folder: Path, tmp_path: Path) -> None:
    whole = next(folder.glob("*.safetensors")).read_bytes()
    cases = {
        "cut.safetensors": (whole[:-1], TensorFileError, "is cut off"),
        "head.safetensors": (whole[:20], TensorFileError, "cut off within its header"),
        "noise.safetensors": (b"\xff" * 64, TensorFileError, "no safetensors file"),
        "empty.safetensors": (b"", TensorFileError, "no safetensors file"),
        "old.ckpt": (b"PK\x03\x04" + bytes(64), InputError, "is a pickle"),
    }
    for name, (data, error, message) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(error, match=message) as raised:
            inspect_file(tmp_path / name)
        assert name in str(raised.value)
    with pytest.raises(MissingWeights, match="is not there"):
        inspect_file(tmp_path / "nowhere")
    shard = tmp_path / "shards"
    shard.mkdir()
    index = json.loads((folder / "diffusion_pytorch_model.safetensors.index.json").read_text())
    (shard / "diffusion_pytorch_model.safetensors.index.json").write_text(json.dumps(index))
    with pytest.raises(MissingWeights, match="which its index names"):
        inspect_file(shard)


def test_a_gguf_file_says_its_architecture_and_is_not_converted(tmp_path: Path) -> None:
    key, value = b"general.architecture", b"wan"
    text = b"GGUF" + struct.pack("<IQQ", 3, 0, 1) + struct.pack("<Q", len(key)) + key
    (tmp_path / "wan.gguf").write_bytes(text + struct.pack("<IQ", 8, len(value)) + value)
    report = inspect_file(tmp_path / "wan.gguf")
    assert (report.what, report.model, report.becomes) == ("gguf", "wan", ())
    with pytest.raises(InputError, match="GGUF"):
        convert_file(tmp_path / "wan.gguf", "diffusers", tmp_path / "out")


def test_nothing_is_written_over_and_dialects_must_fit(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already"):
        convert_file(folder, "original", tmp_path)
    with pytest.raises(InputError, match="which has the dialects diffusers, original, comfy, not kohya"):
        convert_file(folder, "kohya", tmp_path / "out")


def test_published_models_are_known_by_their_sizes(tmp_path: Path) -> None:
    """A header of Wan2.1-T2V-1.3B's shapes over a sparse file: nothing of it is read but the header."""
    config: dict[str, Any] = {"num_layers": 30, "num_attention_heads": 12, "attention_head_dim": 128, "ffn_dim": 8960}
    with torch.device("meta"):
        shapes = {key: list(value.shape) for key, value in WanTransformer3DModel(**config).state_dict().items()}
    at, header = 0, {}
    for key, shape in shapes.items():
        size = 2 * int(np.prod(shape))
        header[key_to_original(key)] = {"dtype": "BF16", "shape": shape, "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    path = tmp_path / "wan.safetensors"
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        out.truncate(8 + len(text) + at)
    report = inspect_file(path)
    assert report.model == "Wan2.1-T2V-1.3B" and report.whole and report.dialect == "original"


def outcome(path: Path, dialect: str, output: Path) -> str:
    try:
        convert_file(path, dialect, output)
    except (TransformerFileError, AdapterError):
        return "refused"
    return "yes"


def rows(sources: dict[str, Path], dialects: tuple[str, ...], what: str, place: Path) -> list[str]:
    """A table of what each file becomes, found by converting it."""
    lines = [f"| {what} | {' | '.join(dialects)} |", f"| --- |{' --- |' * len(dialects)}"]
    for number, (name, path) in enumerate(sources.items()):
        own = name.split(",")[0]
        cells = [
            "" if dialect == own else outcome(path, dialect, place / f"{what[2]}{number}{dialect}")
            for dialect in dialects
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def test_the_page_says_what_each_file_becomes(wan: Any, folder: Path, tmp_path: Path) -> None:
    transformers = {"diffusers": folder, "original": tmp_path / "original", "comfy": tmp_path / "comfy"}
    for dialect in ("original", "comfy"):
        convert_file(folder, dialect, transformers[dialect])
    small = original(wan)
    small["blocks.0.ffn.0.weight"] = small["blocks.0.ffn.0.weight"].to(torch.float8_e4m3fn)
    small["scaled_fp8"] = torch.zeros(2, dtype=torch.float8_e4m3fn)
    for name, more in (
        ("fp8 with scales", {"blocks.0.ffn.0.scale_weight": torch.tensor(2.0)}),
        ("fp8 whose scales are lost", {}),
    ):
        path = transformers[f"original, {name}"] = tmp_path / f"{name}" / "diffusion_pytorch_model.safetensors"
        path.parent.mkdir()
        save_file(small | more, path)
        (path.parent / "config.json").write_text((tmp_path / "original" / "config.json").read_text())
    loras = {"kohya": kohya_file(tmp_path / "kohya.safetensors", updates(wan))}
    for dialect in ("diffusers", "peft", "original"):
        loras[dialect] = tmp_path / ("peft" if dialect == "peft" else f"lora-{dialect}.safetensors")
        convert_file(loras["kohya"], dialect, loras[dialect])
    found = rows(transformers, TRANSFORMER_DIALECTS, "a transformer in", tmp_path)
    found += ["", *rows({d: loras[d] for d in ADAPTER_DIALECTS}, ADAPTER_DIALECTS, "a LoRA in", tmp_path)]
    page = (Path(__file__).parents[2] / "docs/reference/weights.md").read_text()
    shown = page.split("<!-- weight dialects -->\n")[1].split("\n<!-- weight dialects end -->")[0]
    assert shown == "\n".join(found)
