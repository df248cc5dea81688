"""Streams: step by step is the whole at once, nothing of the future is known, and the decoder's state makes the same pictures."""

import dataclasses

import pytest
import torch
from torch import Tensor

from omnihuman.autoencoder import decode_video, load_autoencoder, with_narrower_decoder
from omnihuman.conditions.inputs import ConditionInputs
from omnihuman.errors import InputError
from omnihuman.long_video import LongVideo, generate_segments
from omnihuman.positions import rotary_at, rotary_of_packed
from omnihuman.streaming.causal import CausalTransformer
from omnihuman.streaming.conditions import audio_of_latents, first_frame_heard, frames_around, pose_of_latents
from omnihuman.streaming.decoder import StreamDecoder
from omnihuman.streaming.settings import Streaming
from omnihuman.streaming.stream import TalkingStream, stream_video
from profiles import load_profile, resolve_source
from training.stages.model import build_transformer

PROFILE = load_profile("laptop", ["transformer.num_layers=3"])
F, TOKENS = 5, 16


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=generator(seed))


@pytest.fixture(scope="module")
def model():
    """A model whose every part says something: what begins at zero is drawn too."""
    model = build_transformer(PROFILE, None, 0).eval().requires_grad_(False)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.05)
    return model


def inputs(latents: int, batch: int = 1) -> ConditionInputs:
    return ConditionInputs(
        text=normal(batch, 8, 384, seed=1),
        reference=normal(batch, 16, 1, 8, 8, seed=2),
        audio=normal(batch, 4 * latents - 3, 4, 64, seed=3),
    )


def cut(given: ConditionInputs, latent: int) -> ConditionInputs:
    """What one step is given: the sound from its first frame on."""
    assert given.audio is not None
    return dataclasses.replace(given, audio=given.audio[:, first_frame_heard(latent) :])


def one_by_one(causal: CausalTransformer, noise: Tensor, past: Tensor, given: ConditionInputs) -> Tensor:
    memory, made = None, []
    for f in range(noise.shape[2]):
        before = past[:, :, f - 1 : f] if f else past[:, :, :0]
        latent, memory = causal(noise[:, :, f : f + 1], before, cut(given, f), f, memory)
        made.append(latent)
    return torch.cat(made, dim=2)


@pytest.mark.parametrize("streaming", [Streaming(5), Streaming(2), Streaming(3, lookahead=0), Streaming(3, sink=False)])
def test_one_by_one_is_the_whole_at_once(model, streaming):
    causal, length = CausalTransformer(model, streaming), 9
    noise, past = normal(2, 16, length, 8, 8, seed=4), normal(2, 16, length - 1, 8, 8, seed=5)
    whole, _ = causal(noise, past, inputs(length, 2))
    assert (one_by_one(causal, noise, past, inputs(length, 2)) - whole).abs().max() < 2e-5


def test_a_pass_in_the_middle_goes_on_from_the_memory(model):
    causal = CausalTransformer(model, Streaming(4))
    noise, past = normal(1, 16, 9, 8, 8, seed=4), normal(1, 16, 8, 8, 8, seed=5)
    whole, _ = causal(noise, past, inputs(9))
    first, memory = causal(noise[:, :, :3], past[:, :, :2], cut(inputs(9), 0))
    second, _ = causal(noise[:, :, 3:], past[:, :, 2:], cut(inputs(9), 3), 3, memory)
    assert (torch.cat([first, second], dim=2) - whole).abs().max() < 2e-5


def test_the_pass_is_the_blocks_own_attention_under_a_mask(model):
    """An answer from elsewhere: Wan's attention itself over the whole sequence, with a mask of who sees whom."""
    streaming = Streaming(F, lookahead=1)
    causal = CausalTransformer(model, streaming)
    noise, past, given = normal(1, 16, F, 8, 8, seed=4), normal(1, 16, F - 1, 8, 8, seed=5), inputs(F)
    bare = dataclasses.replace(given, motion=past)
    tokens, packed, temb = model.pack(noise, torch.tensor([1000.0]), bare)
    names = [("new", f) for f in range(F)] + [("past", f) for f in range(F - 1)] + [("reference", 0)]
    seen = torch.tensor([[_sees(one, other) for other in names] for one in names])
    mask = seen.repeat_interleave(TOKENS, 0).repeat_interleave(TOKENS, 1)[None, None]
    grid = range(4), range(4)
    tables = [
        rotary_at(model.rope, range(F), *grid),
        rotary_at(model.rope, range(F - 1), *grid),
        rotary_of_packed(model.rope, 0, (1, 4, 4), (1, 4, 4), "far", 30),
    ]
    rotary = tuple(torch.cat([table[i] for table in tables], dim=1) for i in range(2))
    packed = dataclasses.replace(packed, key_mask=mask, rotary=rotary)
    for block in model.blocks:
        tokens = block(tokens, packed)
    wanted = noise - model.unpatchify(tokens, temb, noise.shape, packed.total)
    made, _ = causal(noise, past, given)
    assert (made - wanted).abs().max() < 2e-5


def _sees(one: tuple[str, int], other: tuple[str, int]) -> bool:
    (kind, f), (of, g) = one, other
    if of == "reference":
        return True
    if kind == "reference":
        return False
    if of == "new":
        return kind == "new" and f == g
    return g < f or (kind == "past" and g == f)


def test_in_bfloat16_the_difference_is_its_rounding(model):
    """As large as what rounding does to one pass, not larger."""
    noise, past, given = normal(1, 16, F, 8, 8, seed=4), normal(1, 16, F - 1, 8, 8, seed=5), inputs(F)
    exact, _ = CausalTransformer(model, Streaming(F))(noise, past, given)
    rounded = build_transformer(PROFILE, None, 0).eval().requires_grad_(False)
    rounded.load_state_dict(model.state_dict())
    causal = CausalTransformer(rounded.to(torch.bfloat16), Streaming(F))
    given = given.each(lambda value: value.to(torch.bfloat16))
    whole, _ = causal(noise, past, given)
    stepped = one_by_one(causal, noise, past, given)
    assert (stepped - whole).square().mean().sqrt() <= (whole - exact).square().mean().sqrt()


@pytest.mark.parametrize("lookahead", range(5))
def test_nothing_of_the_future_is_known(model, lookahead):
    causal = CausalTransformer(model, Streaming(4, lookahead))
    noise, past, given = normal(1, 16, F, 8, 8, seed=4), normal(1, 16, F - 1, 8, 8, seed=5), inputs(F)
    made, _ = causal(noise, past, given)
    later_noise, later_past, later_sound = noise.clone(), past.clone(), given.audio.clone()
    later_noise[:, :, 3:] += 1
    later_past[:, :, 2:] += 1
    later_sound[:, 4 * 2 + lookahead + 1 :] += 1
    changed, _ = causal(later_noise, later_past, dataclasses.replace(given, audio=later_sound))
    assert changed[:, :, :3].equal(made[:, :, :3])
    assert not changed[:, :, 3:].equal(made[:, :, 3:])


def test_the_sound_within_the_lookahead_is_heard(model):
    causal = CausalTransformer(model, Streaming(4, 1))
    noise, past, given = normal(1, 16, F, 8, 8, seed=4), normal(1, 16, F - 1, 8, 8, seed=5), inputs(F)
    heard = given.audio.clone()
    heard[:, 9] += 1
    changed, _ = causal(noise, past, dataclasses.replace(given, audio=heard))
    made, _ = causal(noise, past, given)
    assert not changed[:, :, 2].equal(made[:, :, 2])
    assert changed[:, :, :2].equal(made[:, :, :2])


def test_far_along_the_positions_are_those_of_the_window(model):
    """A latent past the rotary tables' end is what the same latent is at the end of the first window, with the same past."""
    streaming = Streaming(3)
    causal = CausalTransformer(model, streaming)
    noise, past = (
        normal(1, 16, 1, 8, 8, seed=4).repeat(1, 1, 20, 1, 1),
        normal(1, 16, 1, 8, 8, seed=5).repeat(1, 1, 19, 1, 1),
    )
    given = inputs(20)
    given = dataclasses.replace(given, audio=given.audio[:, :1].repeat(1, 77, 1, 1))
    made, _ = causal(noise, past, given)
    far = model.config.rope_max_seq_len + 7
    _, memory = causal(noise, past, given)
    memory.latents = far - 1
    again, _ = causal(
        noise[:, :, :1], past[:, :, :1], dataclasses.replace(given, audio=given.audio[:, :20]), far, memory
    )
    assert (again - made[:, :, -1:]).abs().max() < 2e-5


def test_a_hidden_reference_is_none(model):
    causal = CausalTransformer(model, Streaming(3))
    noise, past, given = normal(2, 16, 4, 8, 8, seed=4), normal(2, 16, 3, 8, 8, seed=5), inputs(4, 2)
    masked = dataclasses.replace(given, reference_mask=torch.tensor([1.0, 0.0]))
    made = one_by_one(causal, noise, past, masked)
    without = one_by_one(causal, noise, past, given.without("reference"))
    assert (made[1] - without[1]).abs().max() < 2e-5
    assert (made[0] - one_by_one(causal, noise, past, given)[0]).abs().max() < 2e-5
    assert (made[0] - without[0]).abs().max() > 1e-3


def test_the_memory_stays_as_large_as_the_window(model):
    causal = CausalTransformer(model, Streaming(3))
    memory, latent, sizes = None, normal(1, 16, 0, 8, 8), []
    given = inputs(12)
    for f in range(12):
        latent, memory = causal(normal(1, 16, 1, 8, 8, seed=f), latent, cut(given, f), f, memory)
        sizes.append(memory.layers[0].past and memory.layers[0].past[0].shape[1])
    assert sizes[:3] == [None, TOKENS, 2 * TOKENS]
    assert set(sizes[2:]) == {2 * TOKENS}


def test_a_pass_that_does_not_go_on_from_its_memory_is_refused(model):
    causal = CausalTransformer(model, Streaming(3))
    with pytest.raises(InputError, match="latents 4 to 4 go on from 1 finished latents and a memory of 3; got 1 and 0"):
        causal(normal(1, 16, 1, 8, 8), normal(1, 16, 1, 8, 8), inputs(6), 4)


@pytest.mark.parametrize(("given", "message"), [({"window": 1}, "at least 2"), ({"lookahead": 5}, "0 to 4")])
def test_settings_that_cannot_be(given, message):
    with pytest.raises(InputError, match=message):
        Streaming(**given)


def test_the_sound_of_a_latent_must_be_there(model):
    with pytest.raises(InputError, match="latent 3 ends with video frame 12; the sound given ends with 11"):
        audio_of_latents(model.audio_projection, normal(1, 8, 4, 64), 3, 1, 2)


def test_with_all_that_is_there_a_latent_hears_what_a_whole_clip_gives_it(model):
    sound = normal(1, 17, 4, 64, seed=3)
    whole = model.audio_projection(sound)  # in another batch: sums are in another order
    assert (audio_of_latents(model.audio_projection, sound, 0, 5, 1) - whole).abs().max() < 1e-5


@pytest.fixture(scope="module")
def autoencoder():
    return load_autoencoder(resolve_source("profile:laptop/autoencoder"), torch.float32)


@pytest.mark.parametrize("kind", ["own", "slim", "wan"])
def test_decoding_latent_by_latent_is_decoding_the_whole(autoencoder, kind):
    if kind == "wan":
        from diffusers import AutoencoderKLWan

        torch.manual_seed(0)
        decoder = AutoencoderKLWan(base_dim=8).eval()  # Wan2.1's own, in width alone smaller
    else:
        decoder = autoencoder if kind == "own" else with_narrower_decoder(autoencoder, 12)
    latents, stream = normal(2, 16, 6, 4, 4, seed=6), StreamDecoder(decoder)
    frames = [stream.decode(latents[:, :, i : i + 1]) for i in range(6)]
    assert [part.shape[2] for part in frames] == [1, 4, 4, 4, 4, 4]
    assert (torch.cat(frames, dim=2) - decode_video(decoder, latents)).abs().max() < 1e-5


def test_two_streams_share_a_decoder_and_no_state(autoencoder):
    one, other = normal(1, 16, 3, 4, 4, seed=7), normal(1, 16, 3, 4, 4, seed=8)
    first, second = StreamDecoder(autoencoder), StreamDecoder(autoencoder)
    made: tuple[list[Tensor], list[Tensor]] = ([], [])
    for i in range(3):
        made[0].append(first.decode(one[:, :, i : i + 1]))
        made[1].append(second.decode(other[:, :, i : i + 1]))
    assert (torch.cat(made[0], dim=2) - decode_video(autoencoder, one)).abs().max() < 1e-5
    assert (torch.cat(made[1], dim=2) - decode_video(autoencoder, other)).abs().max() < 1e-5


@pytest.fixture(scope="module")
def pipeline(model):
    from omnihuman.pipeline import build_pipeline

    made = build_pipeline(PROFILE, model, 1)
    made.register_to_config(streaming=Streaming(3, 2).record())
    return made


def talking(pipeline, **changes) -> TalkingStream:
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=generator())
    return TalkingStream(pipeline, image, ["A person talks."], generator(7), 64, 64, **changes)


def frames_of(stream: TalkingStream, sound: Tensor, frames: int) -> Tensor:
    return torch.cat([stream.decode(latent) for latent in stream_video(stream, sound, frames)], dim=1)


SOUND = 0.1 * normal(1, 40_000, seed=9)


def test_how_sound_comes_in_changes_no_pixel(pipeline):
    whole = frames_of(talking(pipeline), SOUND, 21)
    stream, packets = talking(pipeline), []
    for packet in SOUND.split(320, dim=1):
        stream.hear(packet)
        while not stream.missing_samples and stream.frames < 21:
            packets.append(stream.make())
    assert whole.shape == (1, 21, 64, 64, 3)
    assert torch.cat(packets, dim=1).equal(whole)


def test_later_sound_changes_no_earlier_frame(pipeline):
    made = frames_of(talking(pipeline), SOUND, 21)
    later = SOUND.clone()
    later[:, round((8 + 1 + 2) / 16 * 16_000) :] = 0.3
    changed = frames_of(talking(pipeline), later, 21)
    assert changed[:, :9].equal(made[:, :9])
    assert not changed[:, 9:].equal(made[:, 9:])


def test_a_stream_waits_for_its_lookahead_and_no_longer(pipeline):
    stream = talking(pipeline)
    assert stream.missing_samples == 3_000  # one frame and two of lookahead, 1000 samples each
    stream.hear(SOUND[:, :2_999])
    with pytest.raises(InputError, match="latent 0 needs 1 more samples of sound"):
        stream.make()
    stream.hear(SOUND[:, 2_999:3_000])
    assert stream.make().shape == (1, 1, 64, 64, 3)
    assert stream.missing_samples == 4_000


def test_old_sound_is_let_go(pipeline):
    stream, most = talking(pipeline), 0
    for _ in stream_video(stream, torch.zeros(1, 0), 241):
        most = max(most, stream._sound._kept.shape[1])
    assert most < 4 * 16_000


def test_a_pose_is_followed_one_latent_ahead(pipeline):
    keypoints = torch.rand(1, 21, 133, 3, generator=generator()) * 60
    made = frames_of(talking(pipeline, tracks={"pose": keypoints}), SOUND, 21)
    later = keypoints.clone()
    later[:, 13:] = 30.0
    changed = frames_of(talking(pipeline, tracks={"pose": later}), SOUND, 21)
    assert changed[:, :9].equal(made[:, :9])
    assert not changed[:, 9:13].equal(made[:, 9:13])


def test_the_pose_of_single_latents_is_that_of_the_clip(model):
    heatmaps = torch.rand(1, 4, 17, 32, 32, generator=generator())
    whole = model.pose_guider(heatmaps)
    for latent in range(5):
        rows = frames_around(latent, 1, 4)
        assert (
            pose_of_latents(model.pose_guider, heatmaps[:, :, rows]) - whole[:, :, latent : latent + 1]
        ).abs().max() < 1e-5


def test_a_model_that_does_not_stream_says_so(pipeline):
    from omnihuman.pipeline import build_pipeline

    plain = build_pipeline(PROFILE, pipeline.transformer, 1)
    with pytest.raises(InputError, match="was not trained to stream"):
        talking(plain)


def test_a_clip_and_a_long_video_are_what_the_stream_gives(pipeline):
    image = torch.randint(0, 255, (1, 64, 64, 3), dtype=torch.uint8, generator=generator())
    wanted = frames_of(talking(pipeline), SOUND, 29)
    clip = pipeline("A person talks.", image, SOUND[0], num_frames=29, generator=generator(7)).frames
    # The decoder takes the clip's latents in one call, whose products differ in their last bits.
    assert (clip.int() - wanted.int()).abs().max() <= 1
    video = LongVideo(["A person talks."], image, SOUND, {}, 29, 17, [7], 64, 64)
    segments = list(generate_segments(pipeline, video))
    assert [(part.start, part.frames.shape[1]) for part in segments] == [(0, 12), (12, 17)]
    assert torch.cat([part.frames for part in segments], dim=1).equal(wanted)
    again = list(generate_segments(pipeline, video, 1, segments[0].handover))
    assert len(again) == 1 and again[0].frames.equal(segments[1].frames)


def test_more_steps_than_a_stream_has_are_refused_and_not_passed_over(pipeline):
    with pytest.raises(InputError, match="each latent in 1 step, not 4"):
        pipeline("A person talks.", torch.zeros(1, 64, 64, 3, dtype=torch.uint8), num_frames=17, num_inference_steps=4)
    video = LongVideo(["A person talks."], None, SOUND, {}, 21, 21, [7], 64, 64, steps=4)
    with pytest.raises(InputError, match="each latent in 1 step, not 4"):
        next(generate_segments(pipeline, video))
