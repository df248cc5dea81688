"""Q-Align's network, part by part against independent ones, and its score, on small random weights in the published layout."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from torch import nn
from transformers import CLIPVisionConfig, CLIPVisionModel, LlamaForCausalLM, PreTrainedTokenizerFast

import puppets
from curation.bucket import BucketClip
from curation.errors import CurationError
from curation.scores.clip import score_clip
from curation.scores.clip_media import evenly
from curation.scores.picture.qalign import QALIGN
from evaluation.metrics import ImageAesthetics, ImageQuality, MetricError, Network
from evaluation.metrics.observation.observed import Observed
from evaluation.panel import Instruments, Panel, measurable
from media.weights import WrongWeights
from networks.mplug_owl2 import AbstractorConfig, AbstractorLayer, Owl, OwlConfig, Vision, VisionConfig
from networks.qalign import LEVELS, QAlign, padded_to_square
from networks.weights import NetworkError
from profiles import load_profile
from profiles.scores import QAlignConfig, ScoresConfig

VALUES = {
    "model_type": "mplug_owl2", "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 4, "max_position_embeddings": 128, "rms_norm_eps": 1e-5, "rope_theta": 10000.0,
    "visual_config": {
        "visual_model": {"hidden_size": 24, "intermediate_size": 40, "num_hidden_layers": 2, "num_attention_heads": 3, "image_size": 28, "patch_size": 7},
        "visual_abstractor": {"num_learnable_queries": 5, "hidden_size": 24, "num_hidden_layers": 2, "num_attention_heads": 3, "intermediate_size": 16, "encoder_hidden_size": 24, "grid_size": 4},
    },
}  # fmt: skip
CONFIG = OwlConfig.read(VALUES)


def randomised(module: nn.Module) -> nn.Module:
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, 0.0, 0.2)
    return module.eval()


def words() -> dict[str, int]:
    known = [
        "<s>",
        "<unk>",
        "USER:",
        "How",
        "would",
        "you",
        "rate",
        "the",
        "quality",
        "aesthetics",
        "of",
        "this",
        "image?",
        "ASSISTANT:",
        "The",
        "image",
        "is",
    ]
    return {word: place for place, word in enumerate([*known, *LEVELS])}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The published layout: config, weights, tokenizer and preprocessing; and a table that older transformers kept."""
    place = tmp_path_factory.mktemp("one-align")
    (place / "config.json").write_text(json.dumps(VALUES))
    state = {name: value.contiguous() for name, value in randomised(Owl(CONFIG)).state_dict().items()}
    state["model.layers.0.self_attn.rotary_emb.inv_freq"] = torch.zeros(4)
    save_file(state, place / "model.safetensors")
    tokenizer = Tokenizer(models.WordLevel(words(), "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing("<s> $A", None, [("<s>", 0)])
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", unk_token="<unk>").save_pretrained(place)
    size = {"height": 28, "width": 28}
    preprocessing = {
        "crop_size": size,
        "size": {"shortest_edge": 28},
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
        "resample": 3,
    }
    (place / "preprocessor_config.json").write_text(
        json.dumps({"image_processor_type": "CLIPImageProcessor", **preprocessing})
    )
    return place


def test_weights_have_the_published_names_and_sizes():
    with torch.device("meta"):
        owl = Owl(
            OwlConfig.read(
                {
                    "model_type": "mplug_owl2",
                    "vocab_size": 32_000,
                    "hidden_size": 4096,
                    "intermediate_size": 11_008,
                    "num_hidden_layers": 2,
                    "num_attention_heads": 32,
                }
            )
        )
    shapes = {name: tuple(value.shape) for name, value in owl.state_dict().items()}
    cross = "model.visual_abstractor.encoder.layers.5.crossattention"
    expected = {
        "model.layers.1.self_attn.k_proj.multiway.1.weight": (4096, 4096),
        "model.layers.1.self_attn.v_proj.multiway.0.weight": (4096, 4096),
        "model.layers.1.self_attn.q_proj.weight": (4096, 4096),
        "model.layers.0.input_layernorm.multiway.1.weight": (4096,),
        "model.layers.0.post_attention_layernorm.multiway.0.weight": (4096,),
        "model.vision_model.embeddings.position_embedding": (1, 1025, 1024),
        "model.vision_model.embeddings.patch_embed.weight": (1024, 3, 14, 14),
        "model.vision_model.encoder.layers.23.self_attn.query_key_value.bias": (3072,),
        "model.vision_model.encoder.layers.23.mlp.fc1.weight": (4096, 1024),
        f"{cross}.attention.q_pos_embed": (64, 1024),
        f"{cross}.attention.k_pos_embed": (1025, 1024),
        f"{cross}.output.mlp.ffn_ln.weight": (2816,),
        f"{cross}.output.norm2.bias": (1024,),
        f"{cross}.normk.weight": (1024,),
        "model.visual_abstractor.query_embeds": (1, 64, 1024),
        "model.visual_abstractor.vit_eos": (1, 1, 4096),
        "model.visual_abstractor.visual_fc.weight": (4096, 1024),
        "lm_head.weight": (32_000, 4096),
    }
    assert {name: shapes.get(name) for name in expected} == expected


def test_the_vit_is_clips():
    config: VisionConfig = CONFIG.vision
    ours = randomised(Vision(config))
    theirs = CLIPVisionModel(
        CLIPVisionConfig(
            hidden_size=24,
            intermediate_size=40,
            num_hidden_layers=2,
            num_attention_heads=3,
            image_size=28,
            patch_size=7,
            layer_norm_eps=1e-6,
        )
    ).eval()
    state = {}
    names = theirs.state_dict()
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in names) else ""
    for name, value in ours.state_dict().items():
        if "query_key_value" in name:
            parts = value.reshape(3, 3, 8, *value.shape[1:]).transpose(0, 1).flatten(1, 2)
            for kind, part in zip("qkv", parts, strict=True):
                state[
                    f"{prefix}{name.replace('query_key_value', f'{kind}_proj').replace('input_layernorm', 'layer_norm1')}"
                ] = part
            continue
        renamed = (
            name.replace("input_layernorm", "layer_norm1")
            .replace("post_attention_layernorm", "layer_norm2")
            .replace("self_attn.dense", "self_attn.out_proj")
        )
        renamed = renamed.replace("embeddings.cls_token", "embeddings.class_embedding").replace(
            "embeddings.patch_embed", "embeddings.patch_embedding"
        )
        renamed = renamed.replace("embeddings.position_embedding", "embeddings.position_embedding.weight").replace(
            "embeddings.pre_layernorm", "pre_layrnorm"
        )
        state[f"{prefix}{renamed}"] = value.reshape(names[f"{prefix}{renamed}"].shape)
    theirs.load_state_dict(state, strict=False)
    assert set(names) - set(state) <= {f"{prefix}embeddings.position_ids"}
    pixels = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        expected = ours.post_layernorm(theirs(pixels).last_hidden_state)
        torch.testing.assert_close(ours(pixels), expected, rtol=1e-4, atol=1e-5)


def test_the_abstractors_attention_is_pytorchs():
    config: AbstractorConfig = CONFIG.abstractor
    layer = randomised(AbstractorLayer(config))
    queries, picture = torch.randn(2, 5, 24), torch.randn(2, 17, 24)
    attention, output = layer.crossattention.attention, layer.crossattention.output
    theirs = nn.MultiheadAttention(24, 3, batch_first=True).eval()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(
            torch.cat([part.weight for part in (attention.query, attention.key, attention.value)])
        )
        theirs.in_proj_bias.copy_(torch.cat([part.bias for part in (attention.query, attention.key, attention.value)]))
        theirs.out_proj.load_state_dict(output.out_proj.state_dict())
        x = layer.crossattention.norm1(queries)
        seen = torch.cat([x, layer.crossattention.normk(picture)], dim=1)
        positions = torch.cat([attention.q_pos_embed, attention.k_pos_embed])
        x = x + theirs(x + attention.q_pos_embed, seen + positions, seen)[0]
        mlp, normed = output.mlp, output.norm2(x)
        gated = torch.sigmoid(mlp.w1(normed)) * mlp.w1(normed) * mlp.w3(normed)
        torch.testing.assert_close(layer(queries, picture), x + mlp.w2(mlp.ffn_ln(gated)), rtol=1e-4, atol=1e-5)


def test_positions_are_sines_of_queries_and_of_columns_then_rows():
    attention = AbstractorLayer(CONFIG.abstractor).crossattention.attention
    assert torch.equal(attention.k_pos_embed[0], torch.zeros(24))
    column, row = 3, 2
    angles = {value: value / 10_000 ** (np.arange(6) / 6) for value in (column, row)}
    expected = np.concatenate(
        [np.sin(angles[column]), np.cos(angles[column]), np.sin(angles[row]), np.cos(angles[row])]
    )
    np.testing.assert_allclose(attention.k_pos_embed[1 + row * 4 + column], expected, rtol=1e-5)
    np.testing.assert_allclose(attention.q_pos_embed[4, :12], np.sin(4 / 10_000 ** (np.arange(12) / 12)), rtol=1e-5)


def plain(owl: Owl) -> LlamaForCausalLM:
    """LLaMA with the words' weights."""
    theirs = LlamaForCausalLM(CONFIG.llama).eval()
    state = {
        name.replace(".multiway.0", ""): value
        for name, value in owl.state_dict().items()
        if ".multiway.1" not in name and "vision" not in name and "visual" not in name
    }
    theirs.load_state_dict(state)
    return theirs


def test_with_equal_ways_it_is_plain_llama_and_only_the_pictures_tokens_take_the_second():
    owl = randomised(Owl(CONFIG))
    theirs = plain(owl)
    before, after, pixels = torch.tensor([0, 3, 7]), torch.tensor([4, 9]), torch.randn(2, 3, 28, 28)
    different = owl(pixels, before, after)
    for name, value in owl.state_dict().items():
        if ".multiway.1" in name:
            value.copy_(owl.state_dict()[name.replace(".multiway.1", ".multiway.0")])
    with torch.no_grad():
        picture = owl.model.visual_abstractor(owl.model.vision_model(pixels))
        tokens = torch.cat(
            [
                theirs.model.embed_tokens(before)[None].expand(2, -1, -1),
                picture,
                theirs.model.embed_tokens(after)[None].expand(2, -1, -1),
            ],
            dim=1,
        )
        expected = theirs(inputs_embeds=tokens).logits[:, -1]
    torch.testing.assert_close(owl(pixels, before, after), expected, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(different, expected, atol=1e-3)


def test_a_score_is_the_expected_level_of_the_five_words_after_the_question(folder):
    judge = QAlign(folder, "cpu")
    frames = np.random.default_rng(0).integers(0, 256, (33, 40, 30, 3), np.uint8)
    found = judge(frames, 16.0)
    assert found.shape == (3, 2) and ((found >= 1) & (found <= 5)).all()
    owl = Owl(CONFIG)
    owl.load_state_dict(
        {name: value for name, value in load_file(folder / "model.safetensors").items() if "inv_freq" not in name}
    )
    known = words()
    before = torch.tensor(
        [0, *(known[w] for w in ["USER:", "How", "would", "you", "rate", "the", "aesthetics", "of", "this", "image?"])]
    )
    after = torch.tensor([known[w] for w in ["ASSISTANT:", "The", "aesthetics", "of", "the", "image", "is"]])
    logits = owl.eval()(judge._pixels(frames[[0, 16, 32]]), before, after)[:, [known[level] for level in LEVELS]]
    probabilities = torch.exp(logits) / torch.exp(logits).sum(dim=1, keepdim=True)
    np.testing.assert_allclose(found[:, 1], (probabilities * torch.tensor([5, 4, 3, 2, 1])).sum(dim=1), rtol=1e-4)


def test_published_shards_are_refused_by_name_and_converted_as_the_guide_says_they_give_the_same_scores(
    folder, tmp_path, monkeypatch
):
    for file in folder.iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    state = load_file(folder / "model.safetensors")
    names = sorted(state)
    torch.save({name: state[name] for name in names[:10]}, tmp_path / "pytorch_model-00001-of-00002.bin")
    torch.save({name: state[name] for name in names[10:]}, tmp_path / "pytorch_model-00002-of-00002.bin")
    with pytest.raises(WrongWeights, match=r"pytorch_model-00001-of-00002.bin is a pickle.*your-own-weights.md"):
        QAlign(tmp_path, "cpu")
    guide = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "your-own-weights.md").read_text()
    monkeypatch.chdir(tmp_path)
    exec(guide.partition("## Pickles")[2].partition("```python\n")[2].partition("```")[0], {})
    frames = np.full((1, 28, 28, 3), 90, np.uint8)
    ours, theirs = QAlign(folder, "cpu"), QAlign(tmp_path, "cpu")
    # Weights in other places of memory: a processor's kernels add in another order, one bit of float32.
    np.testing.assert_allclose(ours(frames, 16.0), theirs(frames, 16.0), rtol=1e-6)


def test_what_is_not_the_network_is_refused_by_name(folder, tmp_path):
    with pytest.raises(NetworkError, match=r"no file .*config.json"):
        QAlign(tmp_path, "cpu")
    (tmp_path / "config.json").write_text(json.dumps(VALUES))
    with pytest.raises(NetworkError, match="no weights"):
        QAlign(tmp_path, "cpu")
    state = load_file(folder / "model.safetensors")
    del state["lm_head.weight"]
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(NetworkError, match="lm_head.weight"):
        QAlign(tmp_path, "cpu")
    (tmp_path / "config.json").write_text(json.dumps(VALUES | {"model_type": "llama"}))
    with pytest.raises(NetworkError, match="mplug_owl2"):
        QAlign(tmp_path, "cpu")


def test_a_frame_stands_in_the_middle_of_its_square():
    square = padded_to_square(np.full((2, 5, 3), 9, np.uint8), [1, 2, 3])
    assert square.shape == (5, 5, 3)
    assert (square[1:3] == 9).all() and (square[0] == [1, 2, 3]).all() and (square[3:] == [1, 2, 3]).all()


def test_the_metrics_belong_to_q_align_and_take_levels_only(folder):
    with pytest.raises(MetricError, match="q-align"):
        ImageQuality(Network("inception-v3-fid", "0" * 64, ""))
    metric = ImageAesthetics(Network("q-align", "0" * 64, ""))
    metric.update("a", np.array([2.0, 4.0]))
    metric.update("b", np.array([5.0]))
    assert metric.compute().value == 4.0
    for levels in (np.array([0.5]), np.array([]), np.array([np.nan])):
        with pytest.raises(MetricError, match="clip c"):
            metric.update("c", levels)


def test_without_a_path_there_is_no_iqa_and_with_one_a_panel_scores_it(folder):
    measured, unmeasured = measurable(Instruments(), ())
    assert not {"iqa", "ase"} & {metric.name for metric in measured}
    assert {"iqa", "ase"} <= {one.metric for one in unmeasured if "evaluation.networks.qalign" in one.remedy}
    instruments = Instruments(qalign=QAlign(folder, "cpu"))
    panel = Panel(instruments, (), {"iqa", "ase"})
    frames = np.random.default_rng(1).integers(0, 256, (17, 28, 28, 3), np.uint8)
    panel.update(Observed("one", 16.0, frames, instruments))
    scores = {name: metric.compute() for name, metric in panel.metrics.items()}
    assert set(scores) == {"iqa", "ase"} and all(
        1 <= score.value <= 5 and score.network.architecture == "q-align" for score in scores.values()
    )


def clip_scores(folder, frames, laptop):
    clip = BucketClip(frames, None)
    return score_clip(
        clip,
        puppets.PuppetKeypoints(),
        laptop.video,
        laptop.transformer.pose_keypoints,
        ScoresConfig(qalign={"weights": str(folder)}),
    ).values


def test_a_clips_columns_are_the_means_over_its_pictures_at_the_sources_size(folder):
    laptop = load_profile("laptop")
    frames = np.random.default_rng(0).integers(0, 256, (17, 64, 64, 3), np.uint8)
    scores = clip_scores(folder, frames, laptop)
    expected = QAlign(folder, "cpu").levels(frames[evenly(17, ScoresConfig().native_frames)]).mean(axis=0)
    assert [scores["qalign_quality"], scores["qalign_aesthetics"]] == pytest.approx(expected.tolist())


def test_a_column_without_its_weights_names_key_and_remedy_and_other_weights_are_another_version(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "other")
    assert QALIGN.weights(QAlignConfig(weights=str(folder))) == QALIGN.weights(
        QAlignConfig(weights=str(tmp_path / "other"))
    )
    state = load_file(folder / "model.safetensors")
    save_file(state | {"lm_head.weight": state["lm_head.weight"] * 2}, tmp_path / "other" / "model.safetensors")
    assert QALIGN.weights(QAlignConfig(weights=str(folder))) != QALIGN.weights(
        QAlignConfig(weights=str(tmp_path / "other"))
    )
    with pytest.raises(CurationError, match=r"curation\.scores\.qalign\.weights.*one-align"):
        QALIGN.weights(QAlignConfig(weights=str(tmp_path)))
