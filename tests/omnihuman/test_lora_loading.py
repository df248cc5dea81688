"""LoRAs of Wan on OmniHuman's pipeline: every dialect, equal to the merged weights, by diffusers' own methods; what does not fit is named."""

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from media import sha256_of_file
from omnihuman import OmniHumanTransformer3DModel
from omnihuman.errors import MissingWeights
from omnihuman.wan.dialects.adapters import ADAPTER_DIALECTS, AdapterError
from omnihuman.wan.dialects.files import convert_file
from omnihuman.wan.lora import LoraLoading
from tests.omnihuman.test_weight_dialects import kohya_file, updates

SIZES: dict[str, Any] = {
    "num_attention_heads": 1, "attention_head_dim": 24, "text_dim": 8, "ffn_dim": 32, "freq_dim": 16, "num_layers": 2,
    "audio_dim": 8, "audio_layers": 2, "pose_keypoints": 2, "pose_channels": 4,
}  # fmt: skip


class Pipeline(LoraLoading):
    """What `OmniHumanPipeline` has of it, without encoders."""

    hf_device_map = None

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.transformer = OmniHumanTransformer3DModel(**SIZES).eval()
        for parameter in self.transformer.parameters():
            parameter.data.add_(torch.randn(parameter.shape) * 0.05)
        self.components = {"transformer": self.transformer}


def told(pipe: Pipeline) -> Tensor:
    """What it makes of text and sound."""
    generator = torch.Generator().manual_seed(2)
    latents, text = torch.randn(1, 16, 3, 4, 4, generator=generator), torch.randn(1, 5, 8, generator=generator)
    audio = torch.randn(1, 9, 2, 8, generator=generator)
    with torch.no_grad():
        return pipe.transformer(latents, torch.tensor([300]), text, audio, return_dict=False)[0]


def of_wan(model: Any) -> dict[str, tuple[Tensor, Tensor, float]]:
    """A LoRA of every matrix in the blocks that Wan has."""
    return {name: update for name, update in updates(model).items() if "audio_attn" not in name}


def merged(scale: float = 1.0) -> Tensor:
    pipe = Pipeline()
    with torch.no_grad():
        for name, (down, up, alpha) in of_wan(pipe.transformer).items():
            update = scale * alpha / down.shape[0] * (up.double() @ down.double())
            pipe.transformer.get_submodule(name).weight += update.float()
    return told(pipe)


def apart(found: Tensor, expected: Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


@pytest.fixture
def kohya(tmp_path: Path) -> Path:
    return kohya_file(tmp_path / "kohya.safetensors", of_wan(Pipeline().transformer))


@pytest.mark.parametrize("dialect", ADAPTER_DIALECTS)
def test_every_dialect_is_the_merged_weights(kohya: Path, tmp_path: Path, dialect: str) -> None:
    path = kohya
    if dialect != "kohya":
        path = tmp_path / (dialect if dialect == "peft" else f"{dialect}.safetensors")
        convert_file(kohya, dialect, path)
    pipe = Pipeline()
    before = told(pipe)
    pipe.load_lora_weights(path)
    assert apart(before, merged()) > 1e-2 and apart(told(pipe), merged()) < 1e-6
    assert pipe.loras() == {sha256_of_file(path / "adapter_model.safetensors" if path.is_dir() else path): 1.0}
    pipe.unload_lora_weights()
    assert torch.equal(told(pipe), before) and pipe.loras() == {}


def test_scales_fusing_and_taking_off_are_diffusers_own(kohya: Path) -> None:
    pipe, digest = Pipeline(), sha256_of_file(kohya)
    before = told(pipe)
    pipe.load_lora_weights(kohya, adapter_name="style")
    pipe.set_adapters("style", 0.5)
    assert apart(told(pipe), merged(0.5)) < 1e-6 and pipe.loras() == {digest: 0.5}
    pipe.disable_lora()
    assert torch.equal(told(pipe), before) and pipe.loras() == {}
    pipe.enable_lora()
    pipe.fuse_lora(lora_scale=0.5)
    assert apart(told(pipe), merged(0.25)) < 1e-6 and pipe.loras() == {digest: 0.25}
    pipe.unfuse_lora()  # which leaves that scale with diffusers
    assert apart(told(pipe), merged(0.25)) < 1e-6 and pipe.loras() == {digest: 0.25}
    pipe.set_adapters("style", 0.5)
    pipe.fuse_lora()
    pipe.unload_lora_weights()
    assert not any("lora" in name for name, _ in pipe.transformer.named_parameters())
    assert apart(told(pipe), merged(0.5)) < 1e-6 and pipe.loras() == {digest: 0.5}


def test_two_are_added_and_what_came_another_way_is_told_of(kohya: Path, tmp_path: Path) -> None:
    pipe = Pipeline()
    pipe.load_lora_weights(load_file(kohya))
    pipe.load_lora_weights(str(tmp_path), weight_name="kohya.safetensors")
    pipe.set_adapters(["default_0", "default_1"], [0.25, 0.5])
    digest = sha256_of_file(kohya)
    assert (
        apart(told(pipe), merged(0.75)) < 1e-6
        and pipe.loras()[digest] in (0.5, 0.75)
        and sum(pipe.loras().values()) == 0.75
    )
    pipe.delete_adapters(["default_0", "default_1"])
    convert_file(kohya, "diffusers", tmp_path / "other.safetensors")
    pipe.transformer.load_lora_adapter(str(tmp_path), weight_name="other.safetensors", adapter_name="mine")
    assert pipe.loras() == {"unknown, attached as mine": 1.0}


def test_what_does_not_fit_is_named_and_nothing_is_loaded(kohya: Path, tmp_path: Path) -> None:
    pipe = Pipeline()
    before = told(pipe)
    of = of_wan(pipe.transformer)
    down, up, alpha = of["blocks.0.attn1.to_q"]
    of["blocks.1.attn2.to_v"] = (down[:, :-1].contiguous(), up.clone(), alpha)
    of |= {name: (down.clone(), up.clone(), alpha) for name in ("blocks.7.attn1.to_q", "blocks.0.attn2.add_k_proj")}
    with pytest.raises(AdapterError) as raised:
        pipe.load_lora_weights(kohya_file(tmp_path / "of-14B.safetensors", of))
    said = str(raised.value)
    assert "of-14B.safetensors does not fit: of its 22 updates 2 adapt no matrix" in said
    assert "blocks.7.attn1.to_q" in said and "blocks.0.attn2.add_k_proj" in said
    assert "1 are of another size: blocks.1.attn2.to_v maps 23 to 24, here 24 to 24" in said
    held = load_file(kohya)
    save_file(held | {"lora_unet_blocks_0_vace.lora_down.weight": down.clone()}, tmp_path / "vace.safetensors")
    with pytest.raises(AdapterError, match="lora_unet_blocks_0_vace"):
        pipe.load_lora_weights(tmp_path / "vace.safetensors")
    save_file({k: v for k, v in held.items() if "alpha" not in k}, tmp_path / "no-alpha.safetensors")
    with pytest.raises(AdapterError, match="without alpha"):
        pipe.load_lora_weights(tmp_path / "no-alpha.safetensors")
    small = {k: v if "alpha" in k else v.to(torch.float8_e4m3fn) for k, v in held.items()}
    save_file(small, tmp_path / "small.safetensors")
    with pytest.raises(
        AdapterError, match=r"20 are in numbers that cannot be computed with: .*blocks.0.attn1.to_k \(F8_E4M3\)"
    ):
        pipe.load_lora_weights(tmp_path / "small.safetensors")
    for place, said in ((tmp_path / "gone.safetensors", "no LoRA at"), (tmp_path, "name one of its .safetensors")):
        with pytest.raises(MissingWeights, match=said):
            pipe.load_lora_weights(place)
    assert torch.equal(told(pipe), before) and not hasattr(pipe.transformer, "peft_config")


def test_a_lora_that_diffusers_saved_of_wan_is_read(tmp_path: Path) -> None:
    """Of another writer than this project's: diffusers' own pipeline trains and saves one."""
    from diffusers import WanPipeline
    from diffusers.utils.state_dict_utils import convert_state_dict_to_diffusers
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    own = Pipeline()
    own.transformer.save_wan(tmp_path / "wan")
    wan: Any = WanTransformer3DModel.from_pretrained(tmp_path / "wan").eval()
    wan.add_adapter(
        LoraConfig(r=2, lora_alpha=3, target_modules=["to_q", "to_out.0", "net.2"], init_lora_weights=False)
    )
    layers = convert_state_dict_to_diffusers(get_peft_model_state_dict(wan))
    metadata = wan.peft_config["default"].to_dict()
    saver: Any = WanPipeline
    saver.save_lora_weights(tmp_path, layers, transformer_lora_adapter_metadata=metadata)
    own.load_lora_weights(tmp_path)
    own.fuse_lora()
    own.unload_lora_weights()
    wan.fuse_lora()
    wan.unload_lora()
    found = own.transformer.state_dict()
    assert max(apart(found[name], value) for name, value in wan.state_dict().items()) < 1e-6
