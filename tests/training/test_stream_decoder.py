"""A decoder for streams: trained a piece at a time as a stream decodes, the encoder as it was, and used where a model streams and nowhere else."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from assets.core.versions import configuration
from evaluation.metrics.sharpness import high_frequency_energy
from omnihuman.autoencoder import decode_video, encode_video, load_autoencoder, to_frames, to_pixels
from omnihuman.errors import InputError
from omnihuman.pipeline import OmniHumanPipeline, build_pipeline
from omnihuman.streaming.decoder import StreamDecoder
from omnihuman.streaming.settings import Streaming
from profiles import load_profile, resolve_source
from puppets import render
from tests.training.test_people_autoencoder import in_a_world_of_one
from training.recipes.stream_decoder import StreamDecoderRecipe, encode_row, pieces_of
from training.stages.model import build_transformer

OWN, STREAM = (resolve_source(f"profile:laptop/{name}") for name in ("autoencoder", "stream_autoencoder"))
SMALL = ["transformer.num_layers=2"]
RESUMABLE = StreamDecoderRecipe(clips=3, frames=33, rows=2, batch=2)


@pytest.fixture(scope="module")
def own():
    return load_autoencoder(OWN, torch.float32)


@pytest.fixture(scope="module")
def people():
    return [render(91_000_000 + clip, frames=97) for clip in range(4)]


def stored(folder: str | Path) -> dict[str, torch.Tensor]:
    return load_file(Path(folder) / "diffusion_pytorch_model.safetensors")


def test_pieces_of_a_row_are_all_its_latents_and_frames_once():
    assert list(pieces_of(9, 4)) == [(slice(0, 5), slice(0, 17)), (slice(5, 9), slice(17, 33))]
    latents, frames = (
        np.concatenate([np.arange(129)[part] for part in parts]) for parts in zip(*pieces_of(33, 4), strict=True)
    )
    assert (latents == np.arange(33)).all() and (frames == np.arange(129)).all()
    assert StreamDecoderRecipe(frames=129, piece=4).updates_of_a_row == 8


def test_a_row_of_windows_is_each_window_encoded_by_itself(own, people):
    pixels = to_pixels(torch.from_numpy(people[0].frames[None, :33]))
    row, whole = encode_row(own, pixels, True), encode_row(own, pixels, False)
    assert row[:, :, :5].equal(encode_video(own, pixels[:, :, :17]))
    assert row[:, :, 5:].equal(encode_video(own, pixels[:, :, 16:])[:, :, 1:])
    assert row.shape == whole.shape and not torch.allclose(row[:, :, 5], whole[:, :, 5], atol=0.05)
    torch.testing.assert_close(row[:, :, :5], whole[:, :, :5], atol=1e-4, rtol=0)


def test_pieces_are_what_the_whole_is_and_a_gradient_stays_in_its_piece(own):
    latents = torch.randn(1, 16, 9, 4, 4, generator=torch.Generator().manual_seed(1)).requires_grad_()
    stream = StreamDecoder(own)
    first, second = (stream.decode_with_gradient(latents[:, :, part]) for part, _ in pieces_of(9, 4))
    assert (torch.cat([first, second], dim=2) - decode_video(own, latents)).abs().max() < 1e-5
    (gradient,) = torch.autograd.grad(second.sum(), latents)
    assert not gradient[:, :, :5].any() and gradient[:, :, 5:].abs().amax(dim=(0, 1, 3, 4)).min() > 0


RESUMED = """
import json, sys
from pathlib import Path
from tests.training.test_stream_decoder import OWN, RESUMABLE, stored
from training.recipes.autoencoder import render_corpus, save_autoencoder
from training.recipes.stream_decoder import StreamDecoderTraining
if __name__ == "__main__":
    from puppets import render
    import numpy as np, torch
    corpus, work = torch.from_numpy(np.stack([render(RESUMABLE.seed + i, frames=33).frames for i in range(3)])), Path(sys.argv[1])
    straight = StreamDecoderTraining(RESUMABLE, corpus, work / "straight")
    losses = [straight.advance() for _ in range(2)]
    first = StreamDecoderTraining(RESUMABLE, corpus, work / "stopped")
    first.advance(), first.save()
    second = StreamDecoderTraining(RESUMABLE, corpus, work / "stopped")
    again = second.advance()
    same = all(value.equal(straight.average[name]) for name, value in second.average.items())
    save_autoencoder(second.averaged(), work / "made")
    made, before = stored(work / "made"), stored(OWN)
    changed = {name.split(".")[0] for name, value in made.items() if not value.equal(before[name])}
    print("RESULT", json.dumps([second.row, losses[1] == again, same, len(again), sorted(changed)]))
"""


def test_a_training_that_was_stopped_goes_on_to_the_same_weights_and_the_encoder_stays(tmp_path):
    found = in_a_world_of_one(RESUMED, tmp_path)
    assert found == [2, True, True, 2, ["decoder", "post_quant_conv"]]


def test_what_ships_has_the_profiles_encoder_and_is_another_decoder():
    made, before = stored(STREAM), stored(OWN)
    assert made.keys() == before.keys()
    changed = {name.split(".")[0] for name, value in made.items() if not value.equal(before[name])}
    assert changed == {"decoder", "post_quant_conv"}
    configs = [json.loads((Path(folder) / "config.json").read_text()) for folder in (OWN, STREAM)]
    assert configs[0]["latents_mean"] == configs[1]["latents_mean"]
    assert json.loads((Path(STREAM) / "RECIPE.json").read_text())["started_from"] == "profile:laptop/autoencoder"


def test_what_ships_draws_the_sixth_second_as_the_first(people):
    """The profile's own decoder leaves by ten times as much, and loses a quarter of its detail."""
    truth = np.stack([person.frames for person in people])
    autoencoder = load_autoencoder(STREAM)
    made = to_frames(decode_video(autoencoder, encode_video(autoencoder, to_pixels(torch.from_numpy(truth))))).numpy()
    colours, details = [], []
    for part in (slice(1, 17), slice(65, 97)):
        difference = (made[:, part].astype(np.float32) - truth[:, part]) / 255
        colours.append(np.abs(difference.mean(axis=(1, 2, 3))).mean())
        details.append(high_frequency_energy(made[:, part]).sum() / high_frequency_energy(truth[:, part]).sum())
    assert max(colours) < 0.01 and details[1] > 0.95 * details[0] > 0.6


def of_streams(pipeline) -> bool:
    """Whether its decoder is the one for streams."""
    (name, value), *_ = [(n, v) for n, v in stored(STREAM).items() if n.startswith("decoder.conv_in.weight")]
    return bool(pipeline.vae.state_dict()[name].to(value).equal(value))


def test_a_model_that_streams_is_decoded_with_it_and_no_other(tmp_path):
    profile = load_profile("laptop", SMALL)
    model = build_transformer(profile, None, 0)
    said = Streaming(3, 2).record()
    streaming = build_pipeline(profile, model, 1, said)
    assert of_streams(streaming) and streaming.config.streaming == said
    assert not of_streams(build_pipeline(profile, model, 1)) and not of_streams(build_pipeline(profile, model, 20, {}))
    without = load_profile("laptop", [*SMALL, "streaming.autoencoder=null"])
    assert not of_streams(build_pipeline(without, model, 1, said)), "a profile without one behaves as before it had it"
    streaming.save_pretrained(tmp_path)
    assert of_streams(OmniHumanPipeline.from_pretrained(tmp_path)), "a version that is saved carries it"


def test_one_of_another_encoder_is_refused_with_both_keys(tmp_path):
    other = load_autoencoder(OWN, torch.float32)
    other.encoder.conv_in.weight.data += 0.1
    other.save_pretrained(tmp_path)
    profile = load_profile("laptop", [*SMALL, f"streaming.autoencoder={tmp_path}"])
    with pytest.raises(
        InputError, match=r"streaming\.autoencoder=.* other latents than those of encoders\.autoencoder="
    ):
        build_pipeline(profile, build_transformer(profile, None, 0), 1, Streaming(3, 2).record())


def test_other_weights_for_streams_make_the_student_anew_and_nothing_else(tmp_path):
    profile = load_profile("laptop", [])
    assert "stream_weights" in configuration(profile, ("streaming", "video"))
    assert "stream_weights" not in configuration(profile, ("encoders", "video"))
    bare = load_profile("wan2.1-1.3b", [])
    assert "stream_weights" not in configuration(bare, ("streaming",)) and (
        bare.streaming is None or "autoencoder" not in bare.streaming.model_dump()
    )
