"""Every option of `omnihuman generate` reaches what makes the video. One model is loaded; files are read, nothing is sampled."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import typer.main
import yaml
from PIL import Image
from safetensors.torch import save_file

import serving.generation
import serving.model_choice
from assets.core.workspace import Workspace
from media import encode_clip, sha256_of_file, write_atomically
from omnihuman.autoencoder import with_narrower_decoder
from omnihuman.digests import weights_digest
from omnihuman.pipeline import build_pipeline
from orchestration.commands import cli
from orchestration.commands.video import app
from profiles import load_profile
from puppets import PuppetKeypoints, render
from serving.generation import Prepared
from serving.model_choice import LoadedModel
from tests.media.sound_files import sound_file
from training.stages.model import build_transformer

OVERRIDES = "transformer.num_layers=2"
PUPPET = render(90_000_001, frames=25)
RATE = 16_000


@dataclass(frozen=True)
class Made:
    """What one call of the command handed to the maker, and what it said."""

    model: LoadedModel
    prepared: list[Prepared]
    said: str
    device: str = ""  # that the profile says in the end
    quantise: str = ""  # as well

    @property
    def one(self) -> Prepared:
        assert len(self.prepared) == 1
        return self.prepared[0]


@dataclass(frozen=True)
class Case:
    """`given` on the command line beside what `BASE` has; with `refused`, the one line that it is answered with."""

    given: str
    holds: Callable[[Made, Path], bool] = lambda made, place: True
    refused: str = ""


# {here} is the folder of the inputs. What a case gives itself is left out of these.
BASE = {"--image": "{here}/face.png", "--audio": "{here}/voice.wav", "--model": "{here}/model", "--output": "out.mp4"}
SAME = {"--reference": "--image", "-o": "--output"}
CASES = [
    Case("-o a.mp4", lambda made, here: made.one.request.output == Path("a.mp4")),
    Case("--output frames", lambda made, here: made.one.request.output == Path("frames")),
    Case("--image {here}/face.png", lambda made, here: made.one.video.reference.numpy().tobytes() == PUPPET.frames[0].tobytes()),
    Case("--reference {here}/wall.png --no-face-check", lambda made, here: (made.one.video.reference == 120).all()),
    Case("--image {here}/wall.png --face-check", refused="shows no face"),
    Case("--audio {here}/short.wav", lambda made, here: made.one.video.audio.shape == (1, 12_000) and made.one.video.frames == 12),
    Case("--audio {here}/voice.wav --audio {here}/short.wav", lambda made, here: [(str(one.request.output), one.video.frames) for one in made.prepared] == [("out-voice.mp4", 25), ("out-short.mp4", 12)]),
    Case("--pose {here}/pose.mp4", lambda made, here: made.one.video.tracks["pose"].shape == (1, 25, 133, 3)),
    Case("--image {here}/late.mp4 --audio {here}/late.mp4 --pose {here}/late.mp4 --seconds 1.5", lambda made, here: follows_the_clock(made.one)),
    Case("--prompt Sing!", lambda made, here: made.one.video.prompts == ["Sing!"] and made.one.provenance.prompt == "Sing!"),
    Case("--seconds 0.5", lambda made, here: made.one.video.frames == 8),
    Case("--seconds nan", refused="--seconds nan is no length"),
    Case("--model {here}/model", lambda made, here: made.model.name == str(here / "model")),
    Case("--model champion", refused="no version with alias 'champion'"),
    Case("--model champion --image {here}/gone.png", refused="gone.png: no such file"),  # before any model is looked for
    Case("--model champion --audio {here}/voice.wav --audio {here}", refused="is a folder; name one file in it"),
    Case("--seed 7", lambda made, here: made.one.video.seeds == [7] and made.one.provenance.seed == 7),
    Case("--steps 3", lambda made, here: made.one.video.steps == 3 and made.one.provenance.steps == 3),
    Case("--activate audio --pose {here}/gone.mp4", lambda made, here: made.one.provenance.conditions["on"] == ["text", "reference", "audio"]),
    Case("--without audio --seconds 1", lambda made, here: made.one.video.audio is None and made.one.video.frames == 16),
    Case("--steps 4 --guidance 6.5:3.5", lambda made, here: scales(made) == (6.5, 3.5, 6.5, 3.5, "linear")),
    Case("--steps 4 --guidance 2 --audio-guidance 4:3", lambda made, here: scales(made) == (2, 2, 4, 3, "linear")),
    Case("--steps 4 --guidance 2:1 --annealing cosine", lambda made, here: scales(made) == (2, 1, 2, 1, "cosine")),
    Case("--steps 4 --annealing cosine", refused="give --guidance or --audio-guidance too"),
    Case("--steps 4 --guidance nan", refused="write a scale"),
    Case("--steps 4 --guidance 2 --annealing sudden", refused="annealing is one of linear, cosine, constant"),
    Case("--decoder {here}/vae", lambda made, here: made.one.provenance.decoder == weights_digest(here / "vae") and made.model.pipeline.vae.config.decoder_base_dim == 8),
    Case("--lora {here}/lora.safetensors:0.5", lambda made, here: made.one.provenance.loras == {sha256_of_file(here / "lora.safetensors"): 0.5} == made.model.pipeline.loras()),
    Case("--lora {here}/lora.safetensors:much", refused="write FILE, or FILE:SCALE"),
    Case("--lora {here}/wide.safetensors", refused="wide.safetensors does not fit"),
    Case("--overlap 0", lambda made, here: made.one.video.shared == 0),
    Case("--no-mark", lambda made, here: made.one.provenance.marked is False and "is up to you" in made.said),
    Case("--mark", lambda made, here: made.one.provenance.marked is True and "is up to you" not in made.said),
    Case("--device cpu", lambda made, here: made.device == "cpu"),
    Case("--quantise fp8", lambda made, here: made.quantise == "fp8"),
    Case("--profile {here}/fast.yaml", refused="profile fast has 25"),
]  # fmt: skip


def scales(made: Made) -> tuple:
    """As provenance keeps them; they are the maker's too."""
    said, given = made.one.provenance.guidance, made.one.video.guidance.config
    names = ("text_scale", "text_scale_end", "audio_scale", "audio_scale_end", "annealing")
    assert [said[name] for name in names] == [given[name] for name in names]
    return tuple(said[name] for name in names)


def follows_the_clock(prepared: Prepared) -> bool:
    """Sound and pose of a film whose sound begins half a second after its picture stand where the film shows and plays them."""
    heard, keypoints = prepared.video.audio[0].numpy(), prepared.video.tracks["pose"][0].numpy()
    assert np.abs(heard[: RATE // 2 - 1600]).max() < 1e-3
    spoken = PUPPET.audio[: len(heard) - RATE // 2]
    assert np.corrcoef(heard[RATE // 2 :][: len(spoken)], spoken)[0, 1] > 0.9
    wrists = list(load_profile("laptop").transformer.pose_keypoints)
    drawn = PuppetKeypoints()(PUPPET.frames)[:, wrists]
    seen = (drawn[..., 2] > 0.3) & (keypoints[:, wrists, 2] > 0.3)
    return bool(np.linalg.norm(drawn - keypoints[:, wrists], axis=-1)[seen].mean() < 1)


@pytest.fixture(scope="module")
def here(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("inputs")
    Image.fromarray(PUPPET.frames[0]).save(place / "face.png")
    Image.new("RGB", (64, 64), (120, 120, 120)).save(place / "wall.png")
    soundfile.write(place / "voice.wav", PUPPET.audio, RATE)
    soundfile.write(place / "short.wav", PUPPET.audio[:12_000], RATE)
    write_atomically(place / "pose.mp4", encode_clip(PUPPET.frames, 16.0, PUPPET.audio, RATE))
    late = sound_file("mp4", "aac", RATE, late=0.5, sound=PUPPET.audio, frames=PUPPET.frames)
    write_atomically(place / "late.mp4", late.data)
    profile = load_profile("laptop", [OVERRIDES])
    other = profile.model_dump(mode="json") | {"name": "fast"}
    other["video"]["fps"] = 25.0
    (place / "fast.yaml").write_text(yaml.safe_dump(other))
    pipeline = build_pipeline(profile, build_transformer(profile, None, 0), 1)
    pipeline.save_pretrained(place / "model", safe_serialization=True)
    width = pipeline.transformer.config.num_attention_heads * pipeline.transformer.config.attention_head_dim
    for name, size in (("lora", width), ("wide", 5120)):
        stem = "diffusion_model.blocks.0.self_attn.q"
        halves = {f"{stem}.lora_A.weight": torch.ones(2, size), f"{stem}.lora_B.weight": torch.ones(size, 2)}
        save_file(halves, place / f"{name}.safetensors")
    with_narrower_decoder(pipeline.vae, 8).to(torch.bfloat16).save_pretrained(place / "vae")
    return place


@pytest.fixture(scope="module")
def loaded(here) -> LoadedModel:
    return serving.model_choice.load_model(Workspace(here, load_profile("laptop", [OVERRIDES])), str(here / "model"))


@pytest.fixture
def call(here, loaded, tmp_path, monkeypatch, capsys) -> Callable[[Case], Made]:
    """Run the command; what it would write is kept instead, and the model is not read anew where its folder is named."""
    for name, value in {"HOME": str(here), "SET": OVERRIDES, "PROFILE": "laptop"}.items():
        monkeypatch.setenv(f"OMNIHUMAN_{name}", value)
    monkeypatch.chdir(tmp_path)
    read, own_decoder = serving.model_choice.load_model, loaded.pipeline.vae
    handed: list = []

    def keep(workspace, model, prepared, progress=None) -> list[Path]:
        evaluation = workspace.profile.evaluation
        handed.append((model, prepared, evaluation.device, evaluation.quantise))
        return [one.request.output for one in prepared]

    monkeypatch.setattr(
        serving.model_choice, "load_model", lambda home, name: loaded if name == loaded.name else read(home, name)
    )
    monkeypatch.setattr(serving.generation, "write_videos", keep)

    def run(case: Case) -> Made:
        given = case.given.format(here=here).split()
        names = {SAME.get(word, word) for word in given}
        base = [word for name, value in BASE.items() if name not in names for word in (name, value.format(here=here))]
        monkeypatch.setattr(sys, "argv", ["omnihuman", "generate", *base, *given])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        said = capsys.readouterr().err
        assert ended.value.code == (1 if case.refused else 0), said
        if case.refused:
            assert case.refused in said and not handed
            return Made(loaded, [], said)
        [(model, prepared, device, quantise)] = handed
        return Made(model, prepared, said, device, quantise)

    yield run
    loaded.pipeline.register_modules(vae=own_decoder)
    loaded.pipeline.unload_lora_weights()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.given)
def test_an_option_reaches_the_maker(case, call, here):
    made = call(case)
    assert case.refused or case.holds(made, here)


def test_every_option_of_generate_is_passed_by_a_case():
    command = typer.main.get_command(app).commands["generate"]  # type: ignore[attr-defined]
    names = {name for option in command.params for name in (*option.opts, *option.secondary_opts)} - {"--help"}
    passed = {word for case in CASES for word in case.given.split() if word.startswith("-")}
    assert len(names) > 20 and names - passed == set()
