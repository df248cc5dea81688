"""Official Wan2.1 checkpoints load key for key in both layouts, and a broken one is refused by file, keys and remedy."""

import json
import re
import struct
from pathlib import Path

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file

from omnihuman import OmniHumanTransformer3DModel

WAN = {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": 2}
I2V = WAN | {"in_channels": 36, "image_dim": 1280, "added_kv_proj_dim": 48}
NEW = {"audio_dim": 8, "audio_layers": 3, "audio_window": 0, "pose_keypoints": 4, "pose_channels": 4}
WEIGHTS = "diffusion_pytorch_model.safetensors"

# Wan2.1's own names, as in its repository's wan/modules/model.py; the loader's direction is the opposite.
ORIGINAL_NAMES = [
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"),
    ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"),
    ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"),
    ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"),
    ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"),
    (".attn1.", ".self_attn."),
    (".attn2.", ".cross_attn."),
    (".to_q.", ".q."),
    (".to_k.", ".k."),
    (".to_v.", ".v."),
    (".to_out.0.", ".o."),
    (".add_k_proj.", ".k_img."),
    (".add_v_proj.", ".v_img."),
    (".norm_added_k.", ".norm_k_img."),
    (".norm2.", ".norm3."),
    (".ffn.net.0.proj.", ".ffn.0."),
    (".ffn.net.2.", ".ffn.2."),
    ("proj_out.", "head.head."),
    (".scale_shift_table", ".modulation"),
]


def original_name(key):
    if key == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in ORIGINAL_NAMES:
        key = key.replace(ours, theirs)
    return key


def inputs(image=False):
    generator = torch.Generator().manual_seed(1)
    given = {
        "hidden_states": torch.randn(2, 36 if image else 16, 3, 4, 4, generator=generator),
        "timestep": torch.tensor([100.0, 900.0]),
        "encoder_hidden_states": torch.randn(2, 512 if image else 5, 32, generator=generator),
    }
    return given | ({"encoder_hidden_states_image": torch.randn(2, 7, 1280, generator=generator)} if image else {})


def wan_model(sizes):
    torch.manual_seed(0)
    return WanTransformer3DModel(**sizes).eval()


@pytest.fixture
def folder(tmp_path):
    wan_model(WAN).save_pretrained(tmp_path / "transformer")
    return tmp_path / "transformer"


@pytest.fixture
def sharded(tmp_path):
    wan_model(WAN).save_pretrained(tmp_path / "sharded", max_shard_size="100KB")
    return tmp_path / "sharded"


def write_original(folder, model, kind, shards=1):
    folder.mkdir()
    config = {
        "_class_name": "WanModel",
        "_diffusers_version": "0.30.0",
        "dim": 48,
        "eps": 1e-6,
        "ffn_dim": 64,
        "freq_dim": 256,
        "in_dim": model.config.in_channels,
        "model_type": kind,
        "num_heads": 2,
        "num_layers": 2,
        "out_dim": 16,
        "text_len": 512,
        "text_dim": 32,
    }
    (folder / "config.json").write_text(json.dumps(config))
    weights = {original_name(k): v for k, v in model.state_dict().items()}
    if shards == 1:
        save_file(weights, folder / WEIGHTS)
        return folder
    names = sorted(weights)
    places = {
        name: f"diffusion_pytorch_model-{1 + i % shards:05d}-of-{shards:05d}.safetensors"
        for i, name in enumerate(names)
    }
    for file in set(places.values()):
        save_file({n: weights[n] for n in names if places[n] == file}, folder / file)
    (folder / f"{WEIGHTS}.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))
    return folder


def test_the_report_tells_loaded_keys_from_new_ones(folder):
    model, report = OmniHumanTransformer3DModel.from_wan(folder, **NEW, return_report=True)
    wan = WanTransformer3DModel.from_pretrained(folder)
    assert set(report.loaded) == set(wan.state_dict()) and set(report.loaded) | set(report.new) == set(
        model.state_dict()
    )
    assert report.loaded_parameters == sum(p.numel() for p in wan.parameters())
    assert report.loaded_parameters + report.new_parameters == sum(p.numel() for p in model.parameters())
    text = str(report)
    assert str(folder) in text and f"{len(report.loaded)} keys, {report.loaded_parameters:,} parameters" in text
    assert "blocks.*.audio_attn (24)" in text and "token_types (1)" in text
    assert OmniHumanTransformer3DModel.inspect_wan(folder, **NEW) == report


@pytest.mark.parametrize("place", ["folder", "pipeline", "sharded"])
def test_diffusers_layouts_load(folder, sharded, place):
    path = {"folder": folder, "pipeline": folder.parent, "sharded": sharded}[place]
    model = OmniHumanTransformer3DModel.from_wan(path, **NEW)
    with torch.no_grad():
        assert torch.equal(model(**inputs()).sample, wan_model(WAN)(**inputs()).sample)


def test_missing_left_over_and_misshapen_keys_are_named_in_one_error(folder):
    weights = load_file(folder / WEIGHTS)
    del weights["blocks.1.attn1.to_q.weight"]
    weights["blocks.9.surprise"] = torch.zeros(1)
    weights["proj_out.bias"] = torch.zeros(3)
    save_file(weights, folder / WEIGHTS)
    with pytest.raises(ValueError) as caught:
        OmniHumanTransformer3DModel.from_wan(folder, **NEW)
    message = str(caught.value)
    assert str(folder) in message and "ownload" in message
    assert "1 missing: blocks.1.attn1.to_q.weight" in message and "1 left over: blocks.9.surprise" in message
    assert "proj_out.bias is (3,), its configuration says (64,)" in message


def test_a_cut_off_shard_and_an_absent_one_are_named_in_one_error(sharded):
    shards = sorted(sharded.glob("*.safetensors"))
    assert len(shards) > 2
    shards[0].unlink()
    shards[1].write_bytes(shards[1].read_bytes()[:-10])
    with pytest.raises(ValueError, match="ownload") as caught:
        OmniHumanTransformer3DModel.from_wan(sharded, **NEW)
    assert f"the index names {shards[0].name}" in str(caught.value) and f"{shards[1]} is cut off" in str(caught.value)


def test_a_key_that_the_index_promises_but_no_shard_holds_is_named(sharded):
    shard = sorted(sharded.glob("*.safetensors"))[0]
    weights = load_file(shard)
    gone = sorted(weights)[0]
    del weights[gone]
    save_file(weights, shard)
    with pytest.raises(ValueError, match=f"promised by the index but not in {shard.name}: {re.escape(gone)}"):
        OmniHumanTransformer3DModel.from_wan(sharded, **NEW)


@pytest.mark.parametrize("content", [b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", b""])
def test_what_is_no_safetensors_file_is_named(folder, content):
    (folder / WEIGHTS).write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(folder / WEIGHTS))):
        OmniHumanTransformer3DModel.from_wan(folder, **NEW)


def test_an_absent_folder_is_named_with_what_to_download(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.*download"):
        OmniHumanTransformer3DModel.from_wan(tmp_path / "nowhere")


def test_a_hub_id_that_cannot_be_fetched_is_named():
    with pytest.raises(FileNotFoundError, match="nobody/nothing.*hub id"):
        OmniHumanTransformer3DModel.from_wan("nobody/nothing")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"_class_name": "WanVACETransformer3DModel"}, "WanVACETransformer3DModel"),
        ({"_class_name": "WanModel", "model_type": "vace"}, "vace"),
        ({"_class_name": "OmniHumanTransformer3DModel"}, "from_pretrained"),
    ],
)
def test_other_models_are_refused_by_name(folder, change, named):
    config = json.loads((folder / "config.json").read_text()) | change
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match=named):
        OmniHumanTransformer3DModel.from_wan(folder, **NEW)


@torch.no_grad()
@pytest.mark.parametrize("form", ["folder", "sharded", "file"])
@pytest.mark.parametrize("kind", ["t2v", "i2v"])
def test_the_original_layout_gives_the_same_outputs(tmp_path, kind, form):
    wan = wan_model(I2V if kind == "i2v" else WAN)
    path = write_original(tmp_path / "original", wan, kind, shards=3 if form == "sharded" else 1)
    model, report = OmniHumanTransformer3DModel.from_wan(
        path / WEIGHTS if form == "file" else path, **NEW, return_report=True
    )
    assert report.layout == "original" and set(report.loaded) == set(wan.state_dict())
    assert torch.equal(model(**inputs(kind == "i2v")).sample, wan(**inputs(kind == "i2v")).sample)


def test_an_original_key_is_missed_by_its_name(tmp_path):
    path = write_original(tmp_path / "original", wan_model(WAN), "i2v")
    with pytest.raises(ValueError, match="missing: .*image_embedder"):
        OmniHumanTransformer3DModel.from_wan(path, **NEW)


@torch.no_grad()
def test_i2v_takes_16_channel_references_and_motion_as_latents_without_mask_and_image(tmp_path):
    wan = wan_model(I2V)
    wan.save_pretrained(tmp_path)
    model = OmniHumanTransformer3DModel.from_wan(tmp_path, **NEW)
    given = inputs(image=True)
    assert torch.equal(model(**given).sample, wan(**given).sample)
    torch.nn.init.normal_(model.token_types, std=0.1)
    reference, motion = torch.randn(2, 16, 1, 4, 4), torch.randn(2, 16, 2, 4, 4)
    narrow = model(**given, reference=reference, motion=motion).sample
    wide = {
        k: torch.cat([v, torch.zeros(2, 20, *v.shape[2:])], dim=1)
        for k, v in {"reference": reference, "motion": motion}.items()
    }
    assert torch.equal(narrow, model(**given, **wide).sample)
    assert (narrow - model(**given).sample).abs().max() > 1e-4


@torch.no_grad()
def test_a_bfloat16_checkpoint_stays_so_except_what_wan_keeps_in_float32(tmp_path):
    wan_model(WAN).to(torch.bfloat16).save_pretrained(tmp_path)
    wan = WanTransformer3DModel.from_pretrained(tmp_path, torch_dtype=torch.bfloat16)
    model, report = OmniHumanTransformer3DModel.from_wan(tmp_path, **NEW, return_report=True)
    own = model.state_dict()
    assert {k: own[k].dtype for k in report.loaded} == {k: v.dtype for k, v in wan.state_dict().items()}
    assert {own[k].dtype for k in report.loaded} == {torch.float32, torch.bfloat16}
    assert {own[k].dtype for k in report.new} == {torch.bfloat16} and model.dtype == torch.bfloat16
    given = {k: v.bfloat16() if k != "timestep" else v for k, v in inputs().items()}
    assert torch.equal(model(**given).sample, wan(**given).sample)
    conditions = {"audio": torch.randn(2, 9, 3, 8), "reference": torch.randn(2, 16, 1, 4, 4)}
    assert model(**given, **{k: v.bfloat16() for k, v in conditions.items()}).sample.isfinite().all()


def test_torch_dtype_converts_and_nothing_is_left_without_memory(folder):
    model = OmniHumanTransformer3DModel.from_wan(folder, **NEW, torch_dtype=torch.bfloat16)
    assert (
        model.blocks[0].attn1.to_q.weight.dtype == torch.bfloat16
        and model.blocks[0].scale_shift_table.dtype == torch.float32
    )
    tensors = [*model.parameters(), *model.buffers()]
    assert not any(t.is_meta for t in tensors) and all(p.requires_grad for p in model.parameters())
    assert torch.equal(model.rope.freqs_sin, wan_model(WAN).rope.freqs_sin)


class WithTint(OmniHumanTransformer3DModel):
    """A made-up part that no list names."""

    def build_outside(self):
        super().build_outside()
        self.tint = torch.nn.Parameter(torch.zeros(3))


class WithForgottenTint(OmniHumanTransformer3DModel):
    """The same, built where loading from Wan does not look."""

    def __init__(self, **config):
        super().__init__(**config)
        self.tint = torch.nn.Parameter(torch.zeros(3))


def test_a_part_that_nobody_listed_is_built_in_the_dtype_of_the_rest(folder):
    model, report = WithTint.from_wan(folder, **NEW, torch_dtype=torch.bfloat16, return_report=True)
    assert not model.tint.is_meta and model.tint.dtype == torch.bfloat16 and "tint" in report.new
    with pytest.raises(RuntimeError, match="tint is built neither"):
        WithForgottenTint.from_wan(folder, **NEW)


def test_new_parts_start_where_a_fresh_model_starts(folder):
    model, report = OmniHumanTransformer3DModel.from_wan(folder, **NEW, audio_blocks=(1,), return_report=True)
    own = model.state_dict()
    zero = {k for k in report.new if not own[k].any()}
    outputs = {
        "blocks.1.audio_attn.to_out.weight",
        "blocks.1.audio_attn.to_out.bias",
        "pose_patch_embedding.weight",
        "token_types",
    }
    assert (
        outputs <= zero
        and "audio_projection.linear_1.weight" not in zero
        and "blocks.1.audio_attn.to_q.weight" not in zero
    )
    assert not any(k.startswith("blocks.0.audio_attn") for k in own)


def peak_resident():
    return int(re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text()).group(1)) * 1024


def test_loading_takes_the_memory_of_one_model(tmp_path):
    sizes = WAN | {"num_attention_heads": 16, "attention_head_dim": 32, "ffn_dim": 4096, "num_layers": 8}
    wan_model(sizes).save_pretrained(tmp_path)
    size = (tmp_path / WEIGHTS).stat().st_size
    assert size > 150e6
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    except OSError:
        pytest.skip("this kernel does not let the peak of resident memory be reset")
    before = peak_resident()
    model, report = OmniHumanTransformer3DModel.from_wan(tmp_path, **NEW, return_report=True)
    assert sum(float(p.detach().sum()) for p in model.parameters()) != 0  # every page is read
    assert peak_resident() - before < size + 4 * report.new_parameters + 0.2 * size


def test_a_gap_in_our_own_checkpoint_is_an_error(folder, tmp_path):
    OmniHumanTransformer3DModel.from_wan(folder, **NEW).save_pretrained(tmp_path / "ours")
    weights = load_file(tmp_path / "ours" / WEIGHTS)
    del weights["blocks.0.audio_attn.to_k.weight"]
    save_file(weights, tmp_path / "ours" / WEIGHTS, metadata={"format": "pt"})
    with pytest.raises(ValueError, match="ours.*blocks.0.audio_attn.to_k.weight"):
        OmniHumanTransformer3DModel.from_pretrained(tmp_path / "ours")


@torch.no_grad()
def test_wans_part_is_saved_as_diffusers_reads_it(folder, tmp_path):
    model = OmniHumanTransformer3DModel.from_wan(folder, **NEW)
    published = (folder / WEIGHTS).read_bytes()
    for p in model.parameters():
        p.add_(0.01)
    assert (folder / WEIGHTS).read_bytes() == published  # memory-mapped, but privately
    model.save_wan(tmp_path / "wan")
    again, info = WanTransformer3DModel.from_pretrained(tmp_path / "wan", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(again(**inputs()).sample, model(**inputs()).sample)
    with pytest.raises(FileExistsError, match="not empty"):
        model.save_wan(tmp_path / "wan")


def write_header(path, shapes):
    """A bfloat16 safetensors file of the given shapes whose data is a hole: any size, no disk."""
    header, end = {}, 0
    for key, shape in shapes.items():
        begin, end = end, end + 2 * shape.numel()
        header[key] = {"dtype": "BF16", "shape": list(shape), "data_offsets": [begin, end]}
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + end)


# Number of keys and parameters of the published transformers.
OFFICIAL = {
    "T2V-1.3B": ({"num_layers": 30, "num_attention_heads": 12, "ffn_dim": 8960}, 825, 1_418_996_800),
    "T2V-14B": ({"num_layers": 40, "num_attention_heads": 40, "ffn_dim": 13824}, 1095, 14_288_491_584),
    "I2V-14B": (
        {
            "num_layers": 40,
            "num_attention_heads": 40,
            "ffn_dim": 13824,
            "in_channels": 36,
            "image_dim": 1280,
            "added_kv_proj_dim": 5120,
        },
        1303,
        16_394_878_784,
    ),
}


@pytest.mark.parametrize("name", OFFICIAL)
@pytest.mark.parametrize("layout", ["diffusers", "original"])
def test_every_key_of_the_published_sizes_is_accounted_for(tmp_path, name, layout):
    sizes, keys, parameters = OFFICIAL[name]
    with torch.device("meta"):
        shapes = {k: v.shape for k, v in WanTransformer3DModel(**sizes).state_dict().items()}
    config = {"_class_name": "WanTransformer3DModel", **sizes}
    if layout == "original":
        shapes = {original_name(k): v for k, v in shapes.items()}
        config = {
            "_class_name": "WanModel",
            "dim": 128 * sizes["num_attention_heads"],
            "num_heads": sizes["num_attention_heads"],
            "ffn_dim": sizes["ffn_dim"],
            "num_layers": sizes["num_layers"],
            "in_dim": sizes.get("in_channels", 16),
            "out_dim": 16,
            "text_len": 512,
            "freq_dim": 256,
            "eps": 1e-6,
            "model_type": "i2v" if "image_dim" in sizes else "t2v",
        }
    (tmp_path / "config.json").write_text(json.dumps(config))
    write_header(tmp_path / WEIGHTS, shapes)
    report = OmniHumanTransformer3DModel.inspect_wan(tmp_path)
    print(report)
    assert (len(report.loaded), report.loaded_parameters) == (keys, parameters)
