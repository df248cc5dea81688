"""Every base's text encoders are asked as diffusers' own pipeline of that base asks them: the same numbers, and the same velocity of the published model."""

import shutil
from dataclasses import replace
from pathlib import Path

import diffusers
import pytest
import torch
from transformers import AutoConfig

from omnihuman import OmniHumanPipeline
from omnihuman.autoencoder import load_autoencoder
from omnihuman.bases.registry import base_named
from omnihuman.conditions.audio import AudioEncoder
from omnihuman.conditions.text import TextEncoder, check_text_width, load_text_model, load_tokenizer
from omnihuman.conditions.text_of_bases import GLYPH_ROWS, encode_text, words_encoder
from omnihuman.errors import InputError, MissingWeights
from omnihuman.sampling import build_scheduler
from profiles import load_profile, resolve_source
from tests.omnihuman import text_encoders
from tests.omnihuman.small_bases import NEW, SMALL
from tests.omnihuman.test_pipelines_of_bases import AUTOENCODERS
from tests.omnihuman.text_encoders import LETTERS, POOLED, WIDTH
from training.stages.model import build_transformer

TOKENS = 40
PROMPTS = ["A person talks.", 'An old man with a hat holds a sign that says "to the sea", and sings slowly.']
SIZES = {
    "hunyuan_video": {
        "num_layers": 1,
        "num_single_layers": 1,
        "num_attention_heads": 2,
        "ffn_dim": 64,
        "text_dim": WIDTH,
    },
    "hunyuan_video15": {"num_layers": 1, "num_attention_heads": 2, "ffn_dim": 64, "text_dim": WIDTH},
    "stable_diffusion3": {"num_layers": 2, "num_attention_heads": 2, "ffn_dim": 256, "text_dim": WIDTH},
}
PIPELINES = {
    "hunyuan_video": diffusers.HunyuanVideoPipeline,
    "hunyuan_video15": diffusers.HunyuanVideo15Pipeline,
    "stable_diffusion3": diffusers.StableDiffusion3Pipeline,
}


@pytest.fixture(scope="module", params=list(PIPELINES))
def base(request, tmp_path_factory):
    """The architecture, the encoders' folders, and diffusers' pipeline with them and nothing else."""
    folder = tmp_path_factory.mktemp(request.param)
    places = text_encoders.save(request.param, folder)
    parts = {}
    for number, place in enumerate(places, start=1):
        end = "" if number == 1 else f"_{number}"
        parts[f"text_encoder{end}"] = load_text_model(place)
        parts[f"tokenizer{end}"] = load_tokenizer(folder / f"tokenizer{end}")
    others = {"transformer": None, "vae": None, "scheduler": None}
    if request.param == "hunyuan_video15":  # whose pipeline asks its autoencoder for its channels
        sizes = {"block_out_channels": (4, 4, 4, 4, 4), "layers_per_block": 1, "latent_channels": 8}
        others |= {"guider": None, "vae": diffusers.AutoencoderKLHunyuanVideo15(**sizes)}
    pipeline = PIPELINES[request.param](**parts, **others)
    return request.param, places, pipeline


def theirs(architecture, pipeline):
    """What the pipeline of diffusers gives its model, by the names of its forward pass."""
    given = {"device": torch.device("cpu")}
    if architecture == "hunyuan_video":
        rows, pooled, mask = pipeline.encode_prompt(PROMPTS, **given, max_sequence_length=TOKENS)
        return {"encoder_hidden_states": rows, "encoder_attention_mask": mask, "pooled_projections": pooled}
    if architecture == "stable_diffusion3":
        rows, _, pooled, _ = pipeline.encode_prompt(
            PROMPTS, None, None, **given, do_classifier_free_guidance=False, max_sequence_length=TOKENS
        )
        return {"encoder_hidden_states": rows, "pooled_projections": pooled}
    pipeline.tokenizer_max_length = TOKENS
    rows, mask, letters, letters_mask = pipeline.encode_prompt(PROMPTS, **given, batch_size=len(PROMPTS))
    return {
        "encoder_hidden_states": rows, "encoder_attention_mask": mask, "encoder_hidden_states_2": letters,
        "encoder_attention_mask_2": letters_mask,
    }  # fmt: skip


@torch.no_grad()
def test_rows_are_what_diffusers_own_pipeline_gives_its_model(base):
    architecture, places, pipeline = base
    found, expected = TextEncoder(places, TOKENS, WIDTH).encode(PROMPTS), theirs(architecture, pipeline)
    kind = base_named(architecture).load()
    assert found.shape == (2, kind.text_rows(TOKENS, len(places)), WIDTH)
    words, mask = expected["encoder_hidden_states"], expected.get("encoder_attention_mask")
    words = words if mask is None else words * mask[..., None]
    at = 0 if architecture == "hunyuan_video15" else 1
    assert words.abs().max() > 0 and torch.equal(found[:, at : at + words.shape[1]], words)
    if at:
        pooled = expected["pooled_projections"]
        assert torch.equal(found[:, 0, :POOLED], pooled if architecture == "stable_diffusion3" else padded(pooled))
        return
    letters = expected["encoder_hidden_states_2"] * expected["encoder_attention_mask_2"][..., None]
    assert torch.equal(found[:, TOKENS:, :LETTERS], letters) and letters.shape[1] == GLYPH_ROWS
    assert not letters[0].any() and letters[1].any()


def padded(pooled):
    """CLIP's of HunyuanVideo has the width of its states."""
    return torch.nn.functional.pad(pooled, (0, POOLED - pooled.shape[-1]))


@torch.no_grad()
def test_the_model_computes_of_them_what_the_published_model_computes_of_its_pipelines(base, tmp_path):
    architecture, places, pipeline = base
    one, kind, given = SMALL[architecture], base_named(architecture).load(), theirs(architecture, pipeline)
    one = replace(one, sizes={**one.sizes, **({"pooled_projection_dim": 8} if architecture == "hunyuan_video" else {})})
    bare = one.save(tmp_path)
    model = kind.from_base(tmp_path, **NEW, **kind.of_texts(len(places))).eval()
    latents, timestep, text = one.inputs()
    asked = one.bare(latents, timestep, text) | given
    expected = bare(**asked).sample
    found = model(latents, timestep, TextEncoder(places, TOKENS, WIDTH).encode(PROMPTS)).sample
    assert torch.equal(found if expected.ndim == 5 else found[:, :, 0], expected)


def test_a_pipeline_of_all_its_encoders_generates_saves_them_and_does_so_again(base, tmp_path):
    architecture, places, _ = base
    one, texts = SMALL[architecture], dict(zip(("text", "text_2", "text_3"), places, strict=False))
    keys = [f"encoders.{key}={place}" for key, place in texts.items()]
    sizes = [f"transformer.{key}={value}" for key, value in SIZES[architecture].items()]
    channels = [f"transformer.latent_channels={one.channels}"] if one.channels != 16 else []
    profile = load_profile(
        "laptop", [*keys, *sizes, *channels, f"transformer.architecture={architecture}", "encoders.text_tokens=8"]
    )
    model = build_transformer(profile, None, 0)
    model.check_texts(len(places))
    kind, config = AUTOENCODERS[architecture]
    getattr(diffusers, kind)(**config).save_pretrained(tmp_path / "vae")
    autoencoder = load_autoencoder(tmp_path / "vae", torch.float32)
    sound = resolve_source(load_profile("laptop").encoders.audio)
    pipeline = OmniHumanPipeline(
        model, autoencoder, audio_encoder=AudioEncoder(sound).model, scheduler=build_scheduler(profile.evaluation.sampling),
        num_inference_steps=2, fps=16.0, text_tokens=8, **TextEncoder(places, 8, WIDTH).modules(),
    )  # fmt: skip
    given = {"prompt": PROMPTS[1], "image": torch.randint(0, 255, (1, 32, 32, 3), dtype=torch.uint8)}
    given |= {"num_frames": 1 if one.frames == 1 else 5, "guidance_scale": 2.0, "output_type": "latents"}
    made = pipeline(**given, generator=torch.Generator().manual_seed(0)).frames
    pipeline.save_pretrained(tmp_path / "saved", safe_serialization=True)
    again = OmniHumanPipeline.from_pretrained(tmp_path / "saved")
    assert [type(model) for model in again.text_encoders] == [type(model) for model in pipeline.text_encoders]
    torch.testing.assert_close(
        made, again(**given, generator=torch.Generator().manual_seed(0)).frames, rtol=0, atol=1e-4
    )
    other = pipeline.text_encoders[-1]
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter))
    assert (made - pipeline(**given, generator=torch.Generator().manual_seed(0)).frames).abs().max() > 1e-3


@torch.no_grad()
def test_words_alone_are_the_same_words(base):
    architecture, places, _ = base
    both = TextEncoder(places, TOKENS, WIDTH)
    if architecture == "stable_diffusion3":
        with pytest.raises(InputError, match=r"clip_text_model \+ clip_text_model are no base's; there are llama"):
            encode_text(both.models[:2], both.tokenizers[:2], PROMPTS, TOKENS)
        return
    whole, words = both.encode(PROMPTS), encode_text(both.models[:1], both.tokenizers[:1], PROMPTS, TOKENS)
    at = 1 if architecture == "hunyuan_video" else 0
    assert torch.equal(whole[:, at : at + TOKENS], words)


def test_another_number_of_encoders_than_a_base_takes_is_refused_with_both():
    for architecture, wrong in (("wan", 2), ("hunyuan_video", 3), ("stable_diffusion3", 2)):
        with pytest.raises(InputError, match=rf"takes text of .* and {wrong} are named: .*encoders.text_2"):
            base_named(architecture).load().of_texts(wrong)
    one = SMALL["hunyuan_video"]
    model = base_named(one.architecture).load()(**one.sizes, **NEW)
    model.check_texts(1)
    with pytest.raises(InputError, match=r"HunyuanVideo was built for .* than the 2 .*pooled_text.: \(False, True\)"):
        model.check_texts(2)


def test_encoders_of_another_width_are_refused_before_their_weights_are_read(base, tmp_path):
    places = [
        shutil.copytree(place, tmp_path / Path(place).name, ignore=shutil.ignore_patterns("*.safetensors"))
        for place in base[1]
    ]
    assert check_text_width(places, WIDTH) == WIDTH
    words = places[words_encoder([AutoConfig.from_pretrained(place).model_type for place in places])]
    said = rf"the text encoder {words} gives {WIDTH} numbers a row, and the model takes 7 \(transformer.text_dim\)"
    with pytest.raises(InputError, match=said):
        TextEncoder(places, TOKENS, 7)
    with pytest.raises(MissingWeights, match="no weights could be read"):
        TextEncoder(places, TOKENS, WIDTH)
