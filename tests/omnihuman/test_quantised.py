"""Weights in 8 bits: which they are, how far from whole ones, what they take, and that nobody goes on from them."""

import importlib.util
import json

import pytest
import torch
from torch import nn

from evaluation.benchmark.generated import sampling_note
from media.weights import WrongWeights
from omnihuman.bases import quantised
from omnihuman.bases.checkpoint import CheckpointError
from omnihuman.bases.quantised import (
    FP8,
    INT8,
    MODES,
    CannotQuantise,
    check_quantised,
    quantisation_config,
    quantise,
    quantised_as,
    weight_bytes,
)
from omnihuman.bases.registry import base_named
from omnihuman.errors import InputError
from omnihuman.pipeline import build_pipeline, load_transformer
from omnihuman.placement import choose_quantised, numbers_name, numbers_of, place_pipeline
from profiles import ProfileError, load_profile
from tests.omnihuman.small_bases import NEW, SMALL
from training.stages.model import build_transformer

CPU = torch.device("cpu")
needs_torchao = pytest.mark.skipif(importlib.util.find_spec("torchao") is None, reason="the extra `quantise`")
ATTENTION = {"to_q", "to_k", "to_v", "to_out.0"}
HEARING = {f"audio_attn.{name}" for name in ("to_q", "to_k", "to_v", "to_out")}
JOINT = {f"attn.{name}" for name in (*ATTENTION, "add_q_proj", "add_k_proj", "add_v_proj", "to_add_out")}
FEED = {f"{name}.{part}" for name in ("ff", "ff_context") for part in ("net.0.proj", "net.2")}
WAN = {f"{name}.{part}" for name in ("attn1", "attn2") for part in ATTENTION} | {"ffn.net.0.proj", "ffn.net.2"}
# By base, what of which blocks is rounded; the last block of SD3 has nothing of text behind it.
ROUNDED = {
    "wan2.1": {"blocks.0": WAN | HEARING},
    "hunyuan_video": {
        "transformer_blocks.0": JOINT | FEED | HEARING,
        "single_transformer_blocks.0": {"attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp", "proj_out"} | HEARING,
    },
    "hunyuan_video15": {"transformer_blocks.0": JOINT | FEED | HEARING},
    "stable_diffusion3": {"transformer_blocks.0": JOINT | FEED | HEARING | {f"attn2.{name}" for name in ATTENTION}},
}


def small(name="wan2.1", **own):
    base = SMALL[name]
    torch.manual_seed(0)
    model = base_named(base.architecture).load()(**base.sizes, **NEW, **base.own, **own).eval().requires_grad_(False)
    for parameter in model.parameters():  # zeros of new parts would hide what is rounded
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.05)
    return model


def velocity(model, name="wan2.1"):
    base = SMALL[name]
    return model(*base.inputs(), **base.conditions()).sample


def matrices(model):
    return {name for name, module in model.named_modules() if hasattr(getattr(module, "weight", None), "qdata")}


@needs_torchao
@pytest.mark.parametrize("name", ROUNDED)
def test_matrices_of_blocks_are_rounded_and_nothing_else_changes(name):
    whole, model = small(name), small(name)
    quantise(model, INT8)
    found = matrices(model)
    for block, expected in ROUNDED[name].items():
        assert {one.removeprefix(f"{block}.") for one in found if one.startswith(f"{block}.")} == expected
    assert all(one.split(".")[0].endswith("blocks") for one in found)
    before = dict(whole.named_parameters())
    exact = {key for key, value in model.named_parameters() if key.removesuffix(".weight") not in found}
    assert all(torch.equal(before[key], model.get_parameter(key)) for key in exact)
    assert {"audio_projection.linear_1.weight", "token_types", "pose_patch_embedding.weight"} <= exact
    assert any(key.startswith("proj_out.") for key in exact) and any("norm" in key for key in exact)
    difference = velocity(model, name) - velocity(whole, name)
    assert 0 < difference.norm() < 0.02 * velocity(whole, name).norm()


@needs_torchao
@pytest.mark.parametrize("mode", MODES)
def test_a_rounded_weight_is_as_near_as_its_numbers_allow(mode):
    whole, model = small(), small()
    quantise(model, mode)
    for name in matrices(model):
        weight, held = whole.get_parameter(f"{name}.weight"), model.get_parameter(f"{name}.weight")
        error, scale = (held.dequantize() - weight).abs(), held.scale
        assert (held.dtype, tuple(scale.shape)) == (torch.float32, (len(weight), 1))
        # int8: half a step. e4m3: half of its last of three digits, or of its least step near 0.
        allowed = 0.5 * scale if mode == INT8 else torch.maximum(weight.abs() / 16, scale * 2.0**-10)
        assert (error <= 1.01 * allowed).all()
    assert quantised_as(model) == mode and quantised_as(whole) == ""


@needs_torchao
def test_rows_of_zeros_stay_zeros():
    model = small()
    nn.init.zeros_(model.blocks[0].audio_attn.to_out.weight)
    quantise(model, FP8)
    assert not model.blocks[0].audio_attn.to_out.weight.dequantize().any() and velocity(model).isfinite().all()


@needs_torchao
@pytest.mark.parametrize("mode", MODES)
def test_what_weights_take_is_known_before_and_is_what_they_hold(mode):
    model = small()
    before, planned = weight_bytes(model), weight_bytes(model, mode)
    quantise(model, mode)
    assert weight_bytes(model) == planned < before == sum(p.numel() * 4 for p in small().parameters())


@pytest.mark.parametrize("mode", MODES)
def test_at_wans_settings_the_transformer_takes_two_fifths_less_and_more(mode):
    profile = load_profile("wan2.1-1.3b", ["transformer.base=null"])
    with torch.device("meta"):
        model = build_transformer(profile, None, 0).to(torch.bfloat16)
    assert weight_bytes(model, mode) < 0.55 * weight_bytes(model)


@needs_torchao
def test_diffusers_own_configuration_rounds_the_same_while_it_reads(tmp_path):
    model = small()
    nn.init.zeros_(model.blocks[0].audio_attn.to_out.weight)
    model.save_pretrained(tmp_path / "model")
    for mode in MODES:
        ours = load_transformer(tmp_path / "model")
        quantise(ours, mode)
        read = type(model).from_pretrained(
            tmp_path / "model", quantization_config=quantisation_config(mode), torch_dtype=torch.float32
        )
        assert matrices(read) == matrices(ours) and quantised_as(read) == mode
        assert torch.equal(velocity(read.eval()), velocity(ours.eval()))


@needs_torchao
def test_nobody_goes_on_from_rounded_weights(tmp_path):
    model = small()
    quantise(model, FP8)
    for save in (model.save_pretrained, model.save_base):
        with pytest.raises(
            InputError, match="the weights are in fp8, and saving takes whole ones: load .*quantise=none"
        ):
            save(tmp_path / "saved")
    with pytest.raises(InputError, match="in fp8 already; load it anew"):
        quantise(model, INT8)
    # As diffusers' own class saves them.
    published = type(model).published(**SMALL["wan2.1"].sizes)
    for mode in MODES:
        folder = tmp_path / mode / "transformer"
        published.save_pretrained(folder)
        published.from_pretrained(
            folder, quantization_config=quantisation_config(mode), torch_dtype=torch.float32
        ).save_pretrained(folder)
        with pytest.raises(CheckpointError, match="weights in (I8|F8_E4M3), .*: they were made smaller"):
            type(model).from_base(folder, **NEW)
        with pytest.raises(WrongWeights, match="they were made smaller"):
            type(model).from_pretrained(folder)


@needs_torchao
def test_a_lora_is_added_to_rounded_weights():
    profile = load_profile("laptop", ["transformer.num_layers=1"])
    made = {}
    for mode in ("none", *MODES):
        asked = load_profile("laptop", ["transformer.num_layers=1", f"evaluation.quantise={mode}"])
        pipeline = place_pipeline(build_pipeline(profile, build_transformer(profile, None, 0), 1), asked)
        width, stem = pipeline.transformer.width, "diffusion_model.blocks.0.self_attn.v"
        generator = torch.Generator().manual_seed(0)
        halves = {
            f"{stem}.lora_A.weight": 4 * torch.randn(2, width, generator=generator),
            f"{stem}.lora_B.weight": torch.randn(width, 2, generator=generator),
        }
        given = {"height": 64, "width": 64, "num_frames": 5, "output_type": "latents"}
        bare = pipeline("A person talks.", generator=torch.Generator().manual_seed(1), **given).frames
        pipeline.load_lora_weights(halves)
        made[mode] = pipeline("A person talks.", generator=torch.Generator().manual_seed(1), **given).frames
        assert numbers_of(pipeline.transformer) == "float32" + ("" if mode == "none" else f", weights in {mode}")
        assert (made[mode] - bare).norm() > 10 * (made[mode] - made["none"]).norm()
        if mode != "none":
            with pytest.raises(InputError, match=f"in {mode}, and fusing a LoRA takes whole ones"):
                pipeline.fuse_lora()
        else:
            with pytest.raises(InputError, match="LoRAs are attached to the model: unload them"):
                quantise(pipeline.transformer, "int8")
            pipeline.unload_lora_weights()
            quantise(pipeline.transformer, "int8")
            assert numbers_of(pipeline.transformer) == "float32, weights in int8"


def test_what_cannot_be_had_is_one_sentence_each(monkeypatch):
    with pytest.raises(ProfileError, match="evaluation.quantise.*'none', 'int8' or 'fp8'"):
        load_profile("laptop", ["evaluation.quantise=int4"])
    with pytest.raises(InputError, match="evaluation.quantise is 'int4'; choose one of int8, fp8"):
        check_quantised("int4", CPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        CannotQuantise, match=r"is int8, and torchao is not installed; run `pip install .*\[quantise\]'`"
    ):
        choose_quantised(load_profile("laptop", ["evaluation.quantise=int8"]), CPU)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: object())
    monkeypatch.setattr(quantised, "_has_fp8", lambda device: False)
    with pytest.raises(CannotQuantise, match="evaluation.quantise is fp8, and cpu has no such numbers; set it to int8"):
        choose_quantised(load_profile("laptop", ["evaluation.quantise=fp8"]), CPU)


def test_score_rows_say_how_weights_were_held(tmp_path):
    for numbers, note in (
        (numbers_name(torch.bfloat16, INT8), ", weights in int8"),
        (numbers_name(torch.float32, ""), ""),
    ):
        meta = {"sampling": {"solver": "euler", "shift": 3.0}, "steps": 25, "guidance_scale": 6.5, "dtype": numbers}
        (tmp_path / "meta.json").write_text(json.dumps(meta))
        assert sampling_note(tmp_path) == f"25 steps, euler, shift 3, guidance 6.5{note}"


def test_whole_weights_need_no_torchao_and_go_unsaid():
    assert "quantise" not in load_profile("laptop").evaluation.model_dump()
    assert load_profile("laptop", ["evaluation.quantise=fp8"]).evaluation.model_dump()["quantise"] == "fp8"
    assert choose_quantised(load_profile("laptop"), CPU) == ""


def test_a_pipeline_that_is_still_to_be_saved_keeps_whole_weights():
    profile = load_profile("laptop", ["transformer.num_layers=1", "evaluation.quantise=int8"])
    pipeline = build_pipeline(profile, build_transformer(profile, None, 0), 1)
    assert quantised_as(place_pipeline(pipeline, profile, keep_dtype=True).transformer) == ""
