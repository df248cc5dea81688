"""With conditions off, our pipeline makes what diffusers' `WanPipeline` makes, and it keeps diffusers' manners."""

from collections import Counter

import numpy as np
import pytest
import torch
from accelerate import cpu_offload
from accelerate.hooks import UserCpuOffloadHook
from diffusers import (
    AutoencoderKLWan,
    FlowMatchEulerDiscreteScheduler,
    UniPCMultistepScheduler,
    WanPipeline,
    WanTransformer3DModel,
)
from diffusers.pipelines.wan.pipeline_wan import prompt_clean  # type: ignore[attr-defined]
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    PreTrainedTokenizerFast,
    UMT5Config,
    UMT5EncoderModel,
    Wav2Vec2Config,
    Wav2Vec2Model,
)

from omnihuman import OmniHumanPipeline, OmniHumanTransformer3DModel
from omnihuman.autoencoder import LAPTOP_CONFIG
from omnihuman.conditions.prompts import clean_prompt
from omnihuman.guidance import OmniHumanGuidance
from omnihuman.long_video import LongVideo, generate_segments
from omnihuman.placement import execution_device
from omnihuman.wan.pipeline import pipeline_from_wan

SIZES = {"num_attention_heads": 2, "attention_head_dim": 24, "text_dim": 32, "ffn_dim": 64, "num_layers": 2}
WORDS = ["<pad>", "</s>", "<unk>", "a", "person", "talks", "blurry"]
SAMPLERS = {
    "UniPC, Wan's own": UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, num_train_timesteps=1000, flow_shift=3.0
    ),
    "Euler in equal steps": FlowMatchEulerDiscreteScheduler(shift=1.0),
}


@pytest.fixture(scope="module")
def parts():
    """The same small random weights for both: Wan's three networks, and ours with the audio and pose parts beside."""
    torch.manual_seed(0)
    spelling = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    spelling.pre_tokenizer = pre_tokenizers.Whitespace()
    spelling.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=spelling, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    text = UMT5EncoderModel(
        UMT5Config(vocab_size=len(WORDS), d_model=32, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    ).eval()
    wan = WanTransformer3DModel(**SIZES)
    for parameter in wan.parameters():
        parameter.data.add_(torch.randn(parameter.shape) * 0.05)
    ours = OmniHumanTransformer3DModel(
        **SIZES, audio_dim=16, audio_layers=3, audio_window=1, pose_keypoints=4, pose_channels=4
    )
    missing = ours.load_state_dict(wan.state_dict(), strict=False)
    assert not missing.unexpected_keys
    for name, parameter in ours.named_parameters():  # those that start at zero too, so that sound and pose are heard
        if name in missing.missing_keys:
            parameter.data.add_(torch.randn(parameter.shape) * 0.05)
    vae = AutoencoderKLWan(**LAPTOP_CONFIG).eval()
    heard = Wav2Vec2Model(
        Wav2Vec2Config(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, conv_dim=[8] * 7
        )
    ).eval()
    return {
        "tokenizer": tokenizer,
        "text_encoder": text,
        "wan": wan.eval(),
        "ours": ours.eval(),
        "vae": vae,
        "audio_encoder": heard,
    }


class EqualSteps(FlowMatchEulerDiscreteScheduler):
    """The schedule that our pipeline asks of it, for a caller that only says how many steps."""

    def set_timesteps(self, num_inference_steps=None, device=None, **kwargs):
        kwargs.setdefault("sigmas", torch.linspace(1.0, 0.0, (num_inference_steps or 1) + 1)[:-1].tolist())
        super().set_timesteps(device=device, **kwargs)


def both(parts, sampler: str):
    scheduler = SAMPLERS[sampler]
    theirs = (
        EqualSteps.from_config(scheduler.config)
        if isinstance(scheduler, FlowMatchEulerDiscreteScheduler)
        else scheduler
    )
    vae = AutoencoderKLWan(**LAPTOP_CONFIG).eval()
    vae.load_state_dict(parts["vae"].state_dict())
    wan = WanPipeline(
        tokenizer=parts["tokenizer"],
        text_encoder=parts["text_encoder"],
        vae=parts["vae"],
        scheduler=theirs,
        transformer=parts["wan"],
    )
    wan.set_progress_bar_config(disable=True)
    return wan, ours(parts, type(scheduler).from_config(scheduler.config), vae)


def ours(parts, scheduler=None, vae=None) -> OmniHumanPipeline:
    return OmniHumanPipeline(
        parts["ours"],
        vae or parts["vae"],
        parts["text_encoder"],
        parts["tokenizer"],
        parts["audio_encoder"],
        scheduler or FlowMatchEulerDiscreteScheduler(shift=1.0),
        num_inference_steps=4,
        text_tokens=12,
    )


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_without_conditions_the_latents_are_those_of_wan_bit_for_bit(parts, sampler):
    wan, own = both(parts, sampler)
    sizes = {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 4}
    for scale in (1.0, 5.0):
        seed = lambda: torch.Generator().manual_seed(3)  # noqa: E731
        made = wan(
            "a person talks",
            negative_prompt="blurry",
            guidance_scale=scale,
            max_sequence_length=12,
            generator=seed(),
            output_type="latent",
            **sizes,
        ).frames
        found = own(
            "a person talks",
            negative_prompt="blurry",
            guidance_scale=scale,
            generator=seed(),
            output_type="latent",
            **sizes,
        ).frames
        assert made.std() > 0.1
        assert torch.equal(found, made)


@pytest.mark.parametrize(
    ("dirty", "clean"),
    [
        ("a person &amp;amp;nbsp;talks", "a person talks"),
        ("  a\tperson\n\n talks&amp;nbsp; ", "a person talks"),
        ("Tom &amp;amp; Ana &lt;3", "Tom & Ana <3"),
        ("the cafÃ© â€œopensâ€\x9d", 'the café "opens"'),
        ("ﬂoor\u3000&#39;a&#39;", "floor 'a'"),
        ("&nbsp;", ""),
    ],
)
def test_dirty_prompts_are_read_as_wan_reads_them(parts, dirty, clean):
    assert clean_prompt(dirty) == prompt_clean(dirty) == clean
    wan, own = both(parts, "Euler in equal steps")
    with torch.no_grad():
        made, _ = wan.encode_prompt(dirty, do_classifier_free_guidance=False, max_sequence_length=12)
    assert torch.equal(own._text([dirty]), made)


def test_the_decoded_frames_differ_by_the_rounding_of_one_norm(parts):
    wan, own = both(parts, "UniPC, Wan's own")
    sizes = {"height": 32, "width": 48, "num_frames": 9, "num_inference_steps": 2, "output_type": "np"}
    made = wan(
        "a person talks",
        guidance_scale=1.0,
        max_sequence_length=12,
        generator=torch.Generator().manual_seed(3),
        **sizes,
    ).frames
    found = own("a person talks", generator=torch.Generator().manual_seed(3), **sizes).frames
    assert found.shape == made.shape == (1, 9, 32, 48, 3)
    np.testing.assert_allclose(found, made, atol=2e-5)


def test_a_plain_wan_pipelines_folder_is_loaded_whole(parts, tmp_path):
    wan, _ = both(parts, "UniPC, Wan's own")
    wan.save_pretrained(tmp_path / "wan")
    parts["audio_encoder"].save_pretrained(tmp_path / "wav2vec2")
    pipeline = pipeline_from_wan(
        tmp_path / "wan", tmp_path / "wav2vec2", text_tokens=12, pose_keypoints=4, pose_channels=4
    )
    assert pipeline.config.num_inference_steps == 50 and pipeline.transformer.config.audio_layers == 3
    sizes = {
        "height": 32,
        "width": 48,
        "num_frames": 9,
        "num_inference_steps": 2,
        "output_type": "latent",
        "guidance_scale": 3.0,
    }
    made = wan("a person talks", max_sequence_length=12, generator=torch.Generator().manual_seed(3), **sizes).frames
    found = pipeline("a person talks", generator=torch.Generator().manual_seed(3), **sizes).frames
    torch.testing.assert_close(
        found, made, rtol=1e-4, atol=1e-5
    )  # weights that are mapped from a file lie elsewhere and round otherwise
    # Sound and pose are not heard before they are trained.
    heard = {"audio": torch.randn(1, 9_000), "pose": torch.rand(1, 9, 133, 3) * 30}
    torch.testing.assert_close(
        pipeline("a person talks", generator=torch.Generator().manual_seed(3), **sizes, **heard).frames,
        found,
        rtol=1e-4,
        atol=1e-5,
    )
    with pytest.raises(ValueError, match=r"wav2vec2 holds no model_index.json of a WanPipeline"):
        pipeline_from_wan(tmp_path / "wav2vec2", tmp_path / "wav2vec2")


def call(pipeline, **change):
    inputs = {
        "prompt": "a person talks",
        "height": 32,
        "width": 32,
        "num_frames": 5,
        "generator": torch.Generator().manual_seed(1),
        "output_type": "latents",
    }
    return pipeline(**inputs | change).frames


def test_the_negative_prompt_matters_under_guidance_alone(parts):
    pipeline = ours(parts)
    guided = {"guidance": OmniHumanGuidance.joint(3.0)}
    assert torch.equal(call(pipeline, negative_prompt="blurry"), call(pipeline))
    assert not torch.equal(call(pipeline, negative_prompt="blurry", **guided), call(pipeline, **guided))
    assert torch.equal(
        call(pipeline, negative_prompt=["blurry"], **guided), call(pipeline, negative_prompt="blurry", **guided)
    )
    with pytest.raises(ValueError, match="2 negative prompts for 1 prompts"):
        call(pipeline, negative_prompt=["a", "b"], **guided)


def test_a_callback_sees_every_step_may_change_latents_and_stop(parts):
    pipeline, seen = ours(parts), []

    def watch(pipe, step, timestep, tensors):
        seen.append((step, timestep.item(), tensors["latents"].clone()))

    made = call(pipeline, callback_on_step_end=watch)
    assert [step for step, *_ in seen] == [0, 1, 2, 3] and [time for _, time, _ in seen] == [
        1000.0,
        750.0,
        500.0,
        250.0,
    ]
    assert torch.equal(made, seen[-1][2])
    assert torch.equal(
        call(pipeline, callback_on_step_end=lambda *a: {"latents": torch.zeros(1, 16, 2, 4, 4)} if a[1] == 3 else None),
        torch.zeros(1, 16, 2, 4, 4),
    )

    def stop(pipe, step, timestep, tensors):
        pipe._interrupt = step == 1

    assert torch.equal(call(pipeline, callback_on_step_end=stop), seen[1][2]) and torch.equal(call(pipeline), made)
    with pytest.raises(ValueError, match="may name latents, got noise"):
        call(pipeline, callback_on_step_end_tensor_inputs=["noise"])


def test_the_progress_bar_is_off_until_it_is_wanted(parts, capsys):
    pipeline = ours(parts)
    call(pipeline)
    assert "it/s" not in capsys.readouterr().err
    pipeline.set_progress_bar_config(disable=False)
    call(pipeline)
    assert "4/4" in capsys.readouterr().err


def test_pose_is_another_name_of_keypoints_and_a_prompt_may_be_left_out(parts):
    pipeline, points = ours(parts), everything()["keypoints"]
    assert torch.equal(call(pipeline, pose=points), call(pipeline, keypoints=points))
    assert not torch.equal(call(pipeline, pose=points), call(pipeline))
    with pytest.raises(ValueError, match="are the same"):
        call(pipeline, pose=points, keypoints=points)
    seed = lambda: torch.Generator().manual_seed(1)  # noqa: E731
    sizes = {"height": 32, "width": 32, "num_frames": 5, "pose": points, "output_type": "latents"}
    made = pipeline(**sizes, generator=seed())
    assert torch.equal(made.frames, pipeline("", **sizes, generator=seed()).frames) and made.conditions["on"] == [
        "pose"
    ]


def test_image_is_another_name_of_reference(parts):
    pipeline = ours(parts)
    picture = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    assert torch.equal(call(pipeline, image=picture), call(pipeline, reference=torch.from_numpy(picture)[None]))
    with pytest.raises(ValueError, match="are the same"):
        call(pipeline, image=picture, reference=torch.from_numpy(picture)[None])
    with pytest.raises(ValueError, match="output_type is one of"):
        call(pipeline, output_type="gif")


def everything() -> dict:
    generator = torch.Generator().manual_seed(0)
    return {
        "image": torch.randint(0, 255, (1, 32, 32, 3), dtype=torch.uint8, generator=generator),
        "audio": torch.randn(1, 5_000, generator=generator),
        "keypoints": torch.rand(1, 5, 133, 3, generator=generator) * 30,
        "output_type": "frames",
        "num_inference_steps": 2,
    }


def long_video(pipeline) -> torch.Tensor:
    given = everything()
    video = LongVideo(
        ["a person talks"], given["image"], given["audio"], {"pose": given["keypoints"]}, 25, 17, [1], 32, 32, steps=1
    )
    return torch.cat([segment.frames for segment in generate_segments(pipeline, video)], dim=1)


def offload(pipeline, kind: str) -> None:
    """The processor plays the accelerator."""
    if kind == "model":
        pipeline.enable_model_cpu_offload(device="cpu")
        return
    # As `enable_sequential_cpu_offload` does; that asks for "cpu:0", of which torch makes copies that are no parameters.
    for model in networks(pipeline).values():
        cpu_offload(model, torch.device("cpu"), offload_buffers=len(model._parameters) > 0)


def networks(pipeline) -> dict[str, torch.nn.Module]:
    return {name: model for name, model in pipeline.components.items() if isinstance(model, torch.nn.Module)}


@pytest.mark.parametrize("kind", ["model", "sequential"])
def test_offloading_changes_nothing_and_reaches_every_network(parts, kind):
    pipeline = ours(parts)
    expected = call(pipeline, **everything()), long_video(pipeline)
    pipeline.encoding_cache.clear()
    offload(pipeline, kind)
    try:
        hooked = {name for name, model in networks(pipeline).items() if hasattr(model, "_hf_hook")}
        row = set(OmniHumanPipeline.model_cpu_offload_seq.split("->"))
        assert hooked == set(networks(pipeline)) == row - {"text_encoder_2", "text_encoder_3"}
        made = call(pipeline, **everything()), long_video(pipeline)
        assert torch.equal(made[0], expected[0]) and torch.equal(made[1], expected[1])
        assert torch.equal(call(pipeline, **everything()), expected[0]), "with encodings that are kept"
        at = {p.device.type for model in networks(pipeline).values() for p in model.parameters()}
        assert at == {"meta" if kind == "sequential" else "cpu"}
        assert {execution_device(model).type for model in networks(pipeline).values()} == {"cpu"}
    finally:
        pipeline.remove_all_hooks()
    assert torch.equal(call(pipeline, **everything()), expected[0])


def test_an_encoder_is_sent_back_before_sampling_though_the_next_in_the_row_does_not_run(parts, monkeypatch):
    """Without sound: the row is text encoder, audio encoder, transformer."""
    pipeline, events, real = ours(parts), [], UserCpuOffloadHook.offload

    def sent_back(hook):
        events.append(type(hook.model).__name__)
        real(hook)

    pipeline.enable_model_cpu_offload(device="cpu")
    monkeypatch.setattr(UserCpuOffloadHook, "offload", sent_back)
    watching = parts["ours"].register_forward_pre_hook(lambda *_: events.append("sampling"))
    try:
        call(pipeline)
    finally:
        watching.remove()
        pipeline.remove_all_hooks()
    assert "UMT5EncoderModel" in events[: events.index("sampling")]


def test_a_call_seldom_goes_through_all_modules_of_a_network(parts, monkeypatch):
    """diffusers does so to answer where a network lies or in which dtype, and so often that it was an eighth of a one-step call."""
    pipeline, walks, real = ours(parts), Counter(), torch.nn.Module.named_modules

    def walked(module, *args, **kwargs):
        walks[type(module).__name__] += 1
        return real(module, *args, **kwargs)

    call(pipeline, **everything())
    monkeypatch.setattr(torch.nn.Module, "named_modules", walked)
    call(pipeline, **everything())
    # The transformer for its dtype and three times by diffusers at the end of a call; the encoders for whether they changed.
    assert (
        walks["OmniHumanTransformer3DModel"] <= 4 and walks["AutoencoderKLWan"] <= 5 and walks["UMT5EncoderModel"] <= 1
    )
