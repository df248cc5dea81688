"""Weights come into a network whole or not at all, whatever the network and the library, and by one module alone."""

import ast
import pickle
import re
import shutil
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKLWan
from safetensors.torch import load_file, save_file
from transformers import (
    ASTConfig,
    ASTForAudioClassification,
    BertConfig,
    BertModel,
    UMT5Config,
    UMT5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2ForCTC,
    Wav2Vec2Model,
)

from curation.scores.pretrained import whole_network
from media.weights import WrongWeights, fill, load_network
from networks.weights import read_weights
from omnihuman.autoencoder import LAPTOP_CONFIG, load_autoencoder
from omnihuman.conditions.audio import AudioEncoder
from omnihuman.conditions.text import load_text_model
from omnihuman.pipeline import OmniHumanPipeline
from omnihuman.saved_encoders import load_encoders
from omnihuman.transformer import OmniHumanTransformer3DModel
from tests.training.tiny_networks import tiny_profile
from training.stages.model import build_transformer

ROOT = Path(__file__).resolve().parents[2]
SMALL = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
SPEECH = Wav2Vec2Config(
    **SMALL, conv_dim=(8, 8), conv_stride=(5, 2), conv_kernel=(10, 3), num_feat_extract_layers=2,
    num_conv_pos_embeddings=4, num_conv_pos_embedding_groups=2,
)  # fmt: skip
WORDS = UMT5Config(vocab_size=32, d_model=16, d_kv=8, d_ff=16, num_layers=2, num_heads=2)
SOUNDS = ASTConfig(**SMALL, max_length=32, num_mel_bins=32)


def autoencoder():
    return AutoencoderKLWan(**{**LAPTOP_CONFIG, "base_dim": 4}, latents_mean=[0.0] * 16, latents_std=[1.0] * 16)


# By kind: what makes the network, what reads it, and one of its matrices.
KINDS = {
    "autoencoder": (autoencoder, load_autoencoder, "decoder.conv_in.weight"),
    "wav2vec2": (lambda: Wav2Vec2Model(SPEECH), AudioEncoder, "encoder.layers.0.attention.out_proj.weight"),
    "umt5": (lambda: UMT5EncoderModel(WORDS), load_text_model, "encoder.block.1.layer.0.SelfAttention.o.weight"),
    "bert": (lambda: BertModel(BertConfig(vocab_size=32, **SMALL)), load_text_model, "embeddings.token_type_embeddings.weight"),
    "score": (
        lambda: ASTForAudioClassification(SOUNDS),
        lambda folder: whole_network(ASTForAudioClassification, str(folder), "cpu"),
        "classifier.dense.weight",
    ),
    "transformer": (
        lambda: build_transformer(tiny_profile(), None, 0),
        OmniHumanTransformer3DModel.from_pretrained,
        "blocks.0.audio_attn.to_k.weight",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("networks")
    for kind, (make, *_) in KINDS.items():
        make().save_pretrained(root / kind)
    return root


def copy_with(folder: Path, target: Path, change) -> Path:
    """`folder` with what `change` makes of its one file's weights."""
    target.mkdir()
    (file,) = folder.glob("*.safetensors")
    weights = load_file(file)
    change(weights)
    (target / "config.json").write_bytes((folder / "config.json").read_bytes())
    save_file(weights, target / file.name, {"format": "pt"})
    return target


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_network_comes_in_whole_or_not_at_all(kind, folders, tmp_path):
    _, read, key = KINDS[kind]
    read(folders / kind)

    def changed(name, change, said):
        folder = copy_with(folders / kind, tmp_path / name, change)
        with pytest.raises(WrongWeights if name == "eight" else ValueError, match=said) as caught:
            read(folder)
        assert str(folder) in str(caught.value)

    named = re.escape(key)
    changed("missing", lambda w: w.pop(key), f"1 missing: {named}")
    changed("left_over", lambda w: w.update({"strange.weight": torch.zeros(2)}), "1 left over: strange.weight")
    changed("misshapen", lambda w: w.update({key: torch.zeros(3, 5)}), rf"1 of another shape: {named} is \(3, 5\)")
    changed("eight", lambda w: w.update({key: w[key].to(torch.float8_e4m3fn)}), f"F8_E4M3, such as {named}.*bfloat16")


class Runs:
    """A pickle that runs something when it is read: here it makes a file."""

    def __init__(self, made: Path):
        self.made = made

    def __reduce__(self):
        return (Path.touch, (self.made,))


PICKLED = ["pytorch_model.bin", "diffusion_pytorch_model.bin", "model.ckpt"]


@pytest.mark.parametrize("kind", KINDS)
def test_a_folder_of_pickles_is_refused_by_name_and_none_is_read(kind, folders, tmp_path):
    _, read, _ = KINDS[kind]
    made = tmp_path / "made"
    for name in PICKLED:
        shutil.copytree(folders / kind, tmp_path / name, ignore=shutil.ignore_patterns("*.safetensors"))
        (tmp_path / name / name).write_bytes(pickle.dumps({"weight": Runs(made)}))
        with pytest.raises(WrongWeights, match=f"{re.escape(str(tmp_path / name / name))} is a pickle.*safetensors"):
            read(tmp_path / name)
    beside = tmp_path / "beside"  # publishers leave them beside the safetensors, which are what is read
    shutil.copytree(folders / kind, beside)
    for name in PICKLED:
        (beside / name).write_bytes(pickle.dumps({"weight": Runs(made)}))
    read(beside)
    assert not made.exists()


def test_a_saved_pipeline_with_a_pickle_in_a_part_is_refused_by_name(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "vae").mkdir()
    file, made = tmp_path / "vae" / "diffusion_pytorch_model.bin", tmp_path / "made"
    file.write_bytes(pickle.dumps({"weight": Runs(made)}))
    with pytest.raises(WrongWeights, match=f"{re.escape(str(file))} is a pickle"):
        OmniHumanPipeline.from_pretrained(tmp_path)
    assert not made.exists()


def test_what_nothing_computes_with_may_be_missing_or_beside_a_speech_encoder(folders, tmp_path):
    Wav2Vec2ForCTC(SPEECH).save_pretrained(tmp_path / "letters")
    AudioEncoder(copy_with(tmp_path / "letters", tmp_path / "unmasked", lambda w: w.pop("wav2vec2.masked_spec_embed")))
    old = lambda w: w.update({"embeddings.position_ids": torch.arange(512)[None]})  # noqa: E731
    load_text_model(copy_with(folders / "bert", tmp_path / "old", old))


def test_the_encoders_of_a_saved_pipeline_are_read_by_the_same_loader(folders, tmp_path):
    (tmp_path / "model_index.json").write_text(
        '{"vae": ["diffusers", "AutoencoderKLWan"], "audio_encoder": ["transformers", "Wav2Vec2Model"]}'
    )
    copy_with(folders / "wav2vec2", tmp_path / "audio_encoder", lambda w: None)
    copy_with(folders / "autoencoder", tmp_path / "vae", lambda w: w.pop("decoder.conv_in.weight"))
    with pytest.raises(WrongWeights, match="vae does not hold .*decoder.conv_in.weight"):
        load_encoders(tmp_path, {})
    given = load_encoders(tmp_path, {"vae": None, "torch_dtype": torch.bfloat16})
    assert list(given) == ["audio_encoder"] and given["audio_encoder"].dtype == torch.bfloat16


def test_a_file_of_torch_is_read_without_running_code_and_filled_in_by_name(tmp_path):
    network = torch.nn.Linear(2, 3)
    torch.save({"weight": torch.ones(3, 2), "bias": torch.zeros(3)}, tmp_path / "whole.pth")
    fill(network, read_weights(tmp_path / "whole.pth", "fetch it"), "whole.pth", "fetch it")
    assert network.weight.sum() == 6
    before = network.weight.detach().clone()
    with pytest.raises(WrongWeights, match=r"half does not hold .* 1 missing: bias; 1 of another shape.* Fetch it$"):
        fill(network, {"weight": torch.ones(2, 2)}, "half", "fetch it")
    assert torch.equal(network.weight, before), "nothing of a wrong file came in"


def test_a_cut_off_file_is_named(tmp_path, folders):
    folder = copy_with(folders / "wav2vec2", tmp_path / "cut", lambda w: None)
    (file,) = folder.glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(WrongWeights, match=f"{re.escape(str(file))} is cut off.*again"):
        load_network(Wav2Vec2Model, folder, "download it again")


# What of the libraries' `from_pretrained` brings no weights, and our own classes, which look at what came.
WITHOUT_WEIGHTS = re.compile(r"Tokenizer|Processor|processor_class|FeatureExtractor|Config|SCHEDULERS|Pil\b")
OWN = re.compile(
    r"^(OmniHumanPipeline|OmniHumanTransformer3DModel|base\.load\(\))$"
)  # base.load() is a class of omnihuman/bases
CHECKED = {"omnihuman/pipeline.py", "omnihuman/bases/stored.py"}  # their overrides of from_pretrained


def test_weights_come_in_by_this_module_alone():
    strangers = []
    for room in (
        "assets",
        "curation",
        "evaluation",
        "networks",
        "omnihuman",
        "orchestration",
        "serving",
        "tracking",
        "training",
    ):
        for file in sorted((ROOT / room).rglob("*.py")):
            place = str(file.relative_to(ROOT))
            for node in ast.walk(ast.parse(file.read_text())):
                if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                    continue
                called, receiver = node.func.attr, ast.unparse(node.func.value)
                loads = called == "load_state_dict" or (
                    called == "load" and receiver == "torch" and place != "networks/weights.py"
                )
                fetches = called == "from_pretrained" and not (
                    WITHOUT_WEIGHTS.search(receiver)
                    or OWN.match(receiver)
                    or (receiver == "super()" and place in CHECKED)
                )
                if loads or fetches:
                    strangers.append(f"{place}:{node.lineno} {receiver}.{called}")
    assert not strangers, (
        "media/weights.py loads weights: load_network, fill; networks/weights.py reads a file of torch"
    )
