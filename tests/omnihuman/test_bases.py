"""Every base: step 0 is the bare model bit for bit, each condition reaches the output once trained and none before, and files keep all of it."""

import pytest
import torch

from omnihuman.bases.registry import base_at, base_named
from omnihuman.conditions.inputs import ConditionInputs
from tests.omnihuman.small_bases import NEW, SMALL

CONDITIONS = ("audio", "pose", "reference", "motion")


@pytest.fixture(scope="module", params=list(SMALL))
def small(request, tmp_path_factory):
    """The base, diffusers' bare model, and the folder it was saved in."""
    one = SMALL[request.param]
    folder = tmp_path_factory.mktemp("base") / "transformer"
    return one, one.save(folder), folder


def ours(small, dtype=None):
    one, _, folder = small
    return base_at(folder).load().from_base(folder, torch_dtype=dtype, **NEW, **one.own).eval()


def call(model, one, dtype=torch.float32, **conditions):
    latents, timestep, text = one.inputs(dtype)
    return model(latents, timestep, text, **conditions).sample


def awaken(model):
    """Give the zero-initialised parts values, as training does."""
    torch.manual_seed(3)
    for block in model.stacked_blocks:
        torch.nn.init.normal_(block.audio_attn.to_out.weight, std=0.1)
    torch.nn.init.normal_(model.pose_patch_embedding.weight, std=0.1)
    torch.nn.init.normal_(model.token_types, std=0.1)
    return model


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_step_0_without_conditions_is_the_bare_model_bit_for_bit(small, dtype):
    one, bare, folder = small
    bare = type(bare).from_pretrained(folder, torch_dtype=dtype).eval()
    latents, timestep, text = one.inputs(dtype)
    if one.architecture == "hunyuan_video15":
        timestep = timestep.to(dtype)  # which that bare model needs
    expected = bare(**one.bare(latents, timestep, text)).sample
    given = call(ours(small, dtype), one, dtype)
    given = given if expected.ndim == 5 else given[:, :, 0]
    assert expected.abs().max() > 0 and torch.equal(expected, given.to(expected.dtype))


@torch.no_grad()
def test_at_step_0_audio_and_pose_change_nothing_and_awake_each_condition_does(small):
    one = small[0]
    model, given = ours(small), one.conditions()
    plain = call(model, one)
    assert torch.equal(plain, call(model, one, audio=given["audio"], pose=given["pose"]))
    awaken(model)
    assert torch.equal(plain, call(model, one))
    for name, value in given.items():
        assert (call(model, one, **{name: value}) - plain).abs().max() > 1e-4, name


@torch.no_grad()
def test_a_masked_condition_equals_an_absent_one(small):
    one = small[0]
    model, plain = awaken(ours(small)), None
    plain = call(model, one)
    for name, value in one.conditions().items():
        mixed = call(model, one, **{name: value, f"{name}_mask": torch.tensor([1.0, 0.0])})
        torch.testing.assert_close(mixed[1], plain[1], rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mixed[0], call(model, one, **{name: value})[0], rtol=1e-4, atol=1e-5)


def test_a_few_steps_teach_every_new_part_and_checkpointing_has_the_same_gradients(small):
    one = small[0]
    model, given = ours(small).train(), one.conditions()
    gradients = []
    for again in (False, True):
        if again:
            model.enable_gradient_checkpointing()
        model.zero_grad()
        call(awaken(model), one, **given).square().mean().backward()
        gradients.append({name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradient, gradients[1][name], rtol=1e-4, atol=1e-7)
    new = {name for name, _ in model.named_parameters()} - {name for name, _ in small[1].named_parameters()}
    still = [name for name in new if name not in gradients[0] or not gradients[0][name].abs().max()]
    assert not still


@torch.no_grad()
def test_saved_and_loaded_it_answers_the_same_and_the_bases_part_is_diffusers_again(small, tmp_path):
    one, bare, _ = small
    model = awaken(ours(small))
    model.save_pretrained(tmp_path / "own")
    again = base_at(tmp_path / "own").load().from_pretrained(tmp_path / "own").eval()
    given = one.conditions()
    assert torch.equal(call(model, one, **given), call(again, one, **given))
    model.save_base(tmp_path / "bare")
    back = type(bare).from_pretrained(tmp_path / "bare")
    assert all(torch.equal(value, back.state_dict()[name]) for name, value in bare.state_dict().items())


@torch.no_grad()
def test_a_discriminator_reads_tokens_at_its_depths(small):
    one = small[0]
    model = ours(small)
    latents, timestep, text = one.inputs()
    seen = model.features((1, model.depth), latents, timestep, ConditionInputs(text, **one.conditions()))
    tokens = one.frames * (latents.shape[-1] // one.patch) * (latents.shape[-2] // one.patch)
    assert [tuple(each.shape) for each in seen] == [(2, tokens, model.width)] * 2
    assert not torch.equal(seen[0], seen[1])


def test_it_trains_in_bfloat16_under_autocast(small):
    one = small[0]
    model = awaken(ours(small)).train()
    latents, timestep, text = one.inputs()
    with torch.autocast("cpu", torch.bfloat16):
        velocity = model(latents, timestep, text.bfloat16(), **one.conditions()).sample
    assert velocity.dtype is torch.float32
    velocity.square().mean().backward()
    exact = call(model, one, **one.conditions())
    assert (velocity - exact).abs().max() < 0.1 * exact.abs().max()


def test_audio_stays_within_its_latent_frame(small):
    one = small[0]
    if one.frames == 1:
        pytest.skip("an image has one frame")
    model = awaken(ours(small))
    attention, frames = model.stacked_blocks[-1].audio_attn, one.frames
    audio = one.conditions()["audio"]
    changed = audio.clone()
    changed[:, 5] = torch.randn(2, 3, 8)
    tokens = torch.randn(2, frames * 4, model.width)
    before, after = (attention(tokens, model.audio_projection(each), None) for each in (audio, changed))
    moved = (before - after).abs().unflatten(1, (frames, 4)).amax(dim=(0, 2, 3)) > 1e-6
    assert moved.tolist() == [frame == 2 for frame in range(frames)]


def test_by_name_and_by_folder_are_the_same_base(small):
    one, _, folder = small
    assert base_at(folder) == base_named(one.architecture)
