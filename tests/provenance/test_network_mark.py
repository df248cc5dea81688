"""Published networks by path: our payload in as many pictures in turn as it takes; what cannot be used is refused by name."""

import importlib.util
import json
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from media import encode_clip
from media.photographs import png_with_text
from media.segments import SegmentedVideo
from omnihuman.exporting.marking import Marking
from provenance.outcomes import CHANGED, NO_MARK, UNTOUCHED
from provenance.settings import ProvenanceError, read_settings
from provenance.verify import verify_files
from provenance.watermark.backend import PATTERN, mark_of
from provenance.watermark.mark import mark
from provenance.watermark.network import NetworkMark, open_network
from provenance.watermark.payload import CODED, Payload
from provenance.watermark.spread import AGREEMENT, Spread
from tests.provenance.test_watermark import film

PAYLOAD = Payload(3, date(2026, 11, 29))
SIDE = 64


def save_networks(folder: Path, bits: int, names: tuple[str, str] = ("encoder_Q.onnx", "decoder_Q.onnx")) -> Path:
    """Two networks of TrustMark's interface: each bit is a pattern of its own that is added, and asked for."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(1)
    cells = random.choice([-1.0, 1.0], (bits, 3 * SIDE * SIDE // 16)).reshape(bits, 3, SIDE // 4, SIDE // 4)
    # Squares of two pixels of alternate signs: soft pictures say nothing of them.
    squares = np.kron(np.array([[1, -1], [-1, 1]]), np.ones((2, 2)))
    patterns = np.kron(cells, squares).reshape(bits, -1).astype(np.float32)
    pictures, flat, said = [1, 3, SIDE, SIDE], [1, 3 * SIDE * SIDE], ["batch", bits]

    def save(name: str, nodes: list, inputs: dict, outputs: dict, constants: dict) -> None:
        def values(named: dict) -> list:
            return [helper.make_tensor_value_info(key, TensorProto.FLOAT, shape) for key, shape in named.items()]

        stored = [numpy_helper.from_array(np.asarray(value), key) for key, value in constants.items()]
        graph = helper.make_graph(nodes, name, values(inputs), values(outputs), stored)
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / name)

    node = helper.make_node
    drawn = [
        node("Mul", ["secret", "two"], ["doubled"]),
        node("Sub", ["doubled", "one"], ["signs"]),
        node("MatMul", ["signs", "patterns"], ["sum"]),
        node("Mul", ["sum", "strength"], ["added"]),
        node("Reshape", ["added", "shape"], ["residual"]),
        node("Add", ["cover", "residual"], ["image"]),
    ]
    constants = {"two": np.float32(2), "one": np.float32(1), "strength": np.float32(0.03 / np.sqrt(bits))}
    constants |= {"patterns": patterns, "shape": np.int64(pictures)}
    save(names[0], drawn, {"cover": pictures, "secret": said}, {"image": pictures}, constants)
    asked = [node("Reshape", ["image", "shape"], ["flat"]), node("MatMul", ["flat", "patterns"], ["output"])]
    constants = {"patterns": np.ascontiguousarray(patterns.T), "shape": np.int64(flat)}
    save(names[1], asked, {"image": pictures}, {"output": said}, constants)
    return folder


@pytest.mark.parametrize("bits", [32, 100, 224, 256])
def test_a_payload_is_read_after_errors_from_any_picture_on(bits):
    random, spread = np.random.default_rng(2), Spread(bits)
    said = np.stack([spread.said(PAYLOAD, number) for number in range(5, 5 + 2 * spread.turns)])
    answers = np.where(random.random(said.shape) < 0.1, -1, 1) * (2 * said - 1)
    answers += 3 * random.normal(size=bits)  # what a decoder says of the picture itself
    score, payload = spread.read(answers)
    assert payload == PAYLOAD and score > AGREEMENT and spread.turns == 2 * -(-CODED // bits)


@pytest.mark.parametrize("bits", [32, 100, 224])
def test_noise_says_nothing(bits):
    random, spread = np.random.default_rng(3), Spread(bits)
    found = [spread.read(random.normal(size=(2 * spread.turns, bits))) for _ in range(20)]
    assert not any(payload for _, payload in found) and max(score for score, _ in found) < AGREEMENT


@pytest.mark.parametrize(("bits", "frames"), [(32, 14), (100, 6), (256, 2)])
def test_a_network_by_path_marks_exports_and_is_read_by_the_same_setting(tmp_path, monkeypatch, bits, frames):
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", str(save_networks(tmp_path / "networks", bits)))
    marking = Marking.begin(False, 3, PAYLOAD.day)
    plain = torch.from_numpy(film(frames + 2, 128, 192))
    # In two pieces, as a long video is written: the count goes on.
    pieces = [marking.pictures(plain[:1], 16), marking.pictures(plain[1:], 16, start=1)]
    made = np.concatenate(pieces)
    error = np.mean((made.astype(float) - plain.numpy()) ** 2)
    assert 0 < error < 25
    assert mark_of(read_settings()).find(made).payload == PAYLOAD
    assert marking.statement({}, "title", {}).record["watermark"]["by"] == "the invisible mark of TrustMark Q"
    (tmp_path / "film.mp4").write_bytes(encode_clip(made, 16, crf=18, pixel_format="yuv420p"))
    (tmp_path / "plain.mp4").write_bytes(encode_clip(plain.numpy(), 16, crf=18, pixel_format="yuv420p"))
    (tmp_path / "pattern.mp4").write_bytes(encode_clip(mark(film(), PAYLOAD), 16, crf=18, pixel_format="yuv420p"))
    ours, bare, of_before = verify_files([tmp_path / f"{name}.mp4" for name in ("film", "plain", "pattern")])
    assert ours.layers[1].outcome == UNTOUCHED and ours.outcome == CHANGED
    assert "TrustMark Q: model version 3, 2026-11-29" in ours.layers[1].told
    assert bare.outcome == NO_MARK
    assert of_before.layers[1].told.startswith("our invisible mark: model version 3")


def test_a_file_of_too_few_pictures_for_the_payload_says_it_or_nothing(tmp_path, monkeypatch):
    """Of 32 bits fourteen pictures say it: a PNG has one, and a film that is cut off some."""
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", str(save_networks(tmp_path / "networks", 32)))
    made = Marking.begin(False, 3, PAYLOAD.day).pictures(torch.from_numpy(film(17, 128, 192)), 16)
    files = {
        name: tmp_path / name for name in ("one.png", "two.mp4", "six.mp4", "cut.mp4", "growing.mp4", "pattern.png")
    }
    files["one.png"].write_bytes(png_with_text(made[0], {}))
    for name, count in (("two.mp4", 2), ("six.mp4", 6)):
        files[name].write_bytes(encode_clip(made[:count], 16, pixel_format="yuv420p"))
    whole = encode_clip(made, 16, pixel_format="yuv420p")
    files["cut.mp4"].write_bytes(whole[: len(whole) * 3 // 4])  # its index stood at the end
    with SegmentedVideo(files["growing.mp4"], 16.0, None, 16_000, {}) as video:
        video.append(whole)
    grown = files["growing.mp4"].read_bytes()
    files["growing.mp4"].write_bytes(grown[: len(grown) * 3 // 4])
    files["pattern.png"].write_bytes(png_with_text(mark(film(1), PAYLOAD)[0], {}))
    told = {
        path.name: answer.layers[1]
        for path, answer in zip(files.values(), verify_files([*files.values()]), strict=True)
    }
    assert [(told[name].outcome, told[name].reason) for name in ("one.png", "two.mp4")] == [(NO_MARK, "none")] * 2
    assert (told["cut.mp4"].outcome, told["cut.mp4"].reason) == (NO_MARK, "unreadable")
    assert all(told[name].says in ({}, {"version": 3, "day": "2026-11-29"}) for name in ("six.mp4", "growing.mp4"))
    assert told["pattern.png"].told.startswith("our invisible mark: model version 3")


def test_a_network_that_says_all_in_one_picture_is_read_in_a_png(tmp_path, monkeypatch):
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", str(save_networks(tmp_path / "networks", 256)))
    made = Marking.begin(False, 3, PAYLOAD.day).pictures(torch.from_numpy(film(1, 128, 192)), 16)
    (tmp_path / "one.png").write_bytes(png_with_text(made[0], {}))
    assert verify_files([tmp_path / "one.png"])[0].layers[1].says == {"version": 3, "day": "2026-11-29"}


def test_a_relative_folder_begins_where_the_command_runs(tmp_path, monkeypatch):
    save_networks(tmp_path / "networks", 256)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "film.mp4").write_bytes(encode_clip(film(2, SIDE, SIDE), 16, pixel_format="yuv420p"))
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", "networks")
    monkeypatch.chdir(tmp_path)
    assert read_settings().network == tmp_path / "networks"
    assert verify_files([Path("film.mp4")])[0].outcome == NO_MARK
    monkeypatch.chdir("elsewhere")
    with pytest.raises(
        ProvenanceError, match=r"is 'networks', and .*/elsewhere/networks is no folder; .* the whole path"
    ):
        verify_files([Path("../film.mp4")])
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", "../networks")
    assert verify_files([Path("../film.mp4")])[0].outcome == NO_MARK


def test_without_the_setting_the_pattern_stays_and_nothing_of_onnxruntime_is_imported(monkeypatch):
    monkeypatch.delenv("OMNIHUMAN_WATERMARK", raising=False)
    assert mark_of(read_settings()) is PATTERN


def test_a_described_network_is_used_by_its_description(tmp_path):
    save_networks(tmp_path, 48, ("draw.onnx", "ask.onnx"))
    described = {"name": "Ours", "encoder": "draw.onnx", "decoder": "ask.onnx", "channels": "bgr", "strength": 1.2}
    (tmp_path / "mark.json").write_text(json.dumps(described))
    networks = open_network(tmp_path)
    assert networks.name == "the invisible mark of Ours" and networks.spread.turns == 10
    assert networks.find(networks.mark(film(10, SIDE, SIDE), PAYLOAD)).payload == PAYLOAD


def describe(folder: Path, **said: object) -> None:
    (folder / "mark.json").write_text(json.dumps({"name": "x", "encoder": "a.onnx", "decoder": "b.onnx", **said}))


@pytest.mark.parametrize(
    ("prepare", "words"),
    [
        (lambda f: (f / "videoseal.jit").write_bytes(b"PK"), r"videoseal\.jit is a pickle of torch's"),
        (lambda f: describe(f, encoder="y_256b_img.pt"), r"y_256b_img\.pt is a pickle"),
        (lambda f: (f / "readme.txt").write_text(""), r"no networks of a known name \(readme\.txt\)"),
        (lambda f: describe(f), r"names a\.onnx, and .* has none"),
        (lambda f: describe(f, colour="rgb"), "no such key: colour"),
        (lambda f: describe(f, channels="grey"), "channels is rgb or bgr"),
        (lambda f: describe(f, encoder="/tmp/a.onnx"), "'/tmp/a.onnx' is no name of a file in this folder"),
        (lambda f: describe(f, decoder="../a.onnx"), "'../a.onnx' is no name of a file in this folder"),
        (lambda f: describe(f, decoder=".."), "'..' is no name|has none"),
        (lambda f: describe(f, encoder="a" * 5000), "is no name of a file in this folder"),
        (lambda f: describe(f, encoder=3), "name, encoder and decoder are words"),
        (lambda f: describe(f, strength="x"), "lowest, highest, boundary and strength are numbers"),
        (lambda f: describe(f, strength=float("nan")), "lowest, highest, boundary and strength are numbers"),
        (lambda f: describe(f, lowest=float("-inf")), "lowest, highest, boundary and strength are numbers"),
        (lambda f: describe(f, strength=0), "strength is above 0"),
        (lambda f: (f / "mark.json").write_text("[" * 100_000), "does not describe a network"),
        (lambda f: (f / "mark.json").write_text("[]"), "does not describe a network"),
        (lambda f: save_networks(f, 8), "carries 8 bits in a picture: .* would take 56 pictures in turn"),
        (lambda f: save_networks(f, 32, ("decoder_Q.onnx", "encoder_Q.onnx")), "no network of this kind"),
        (
            lambda f: [(f / f"{part}_C.onnx").write_bytes(b"no") for part in ("encoder", "decoder")],
            r"encoder_C\.onnx cannot be opened as an ONNX model",
        ),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(tmp_path, prepare, words):
    prepare(tmp_path)
    with pytest.raises(ProvenanceError, match=words):
        open_network(tmp_path)


def change(folder: Path, name: str, edit: Callable[[onnx.ModelProto], object]) -> None:
    save_networks(folder, 32)
    model = onnx.load(folder / name)
    edit(model)
    onnx.save(model, folder / name)


def set_constant(model: onnx.ModelProto, name: str, value: float) -> None:
    (stored,) = [one for one in model.graph.initializer if one.name == name]
    stored.CopyFrom(numpy_helper.from_array(np.float32(value), name))


def set_shape(values: list, sizes: list[int], kind: int = TensorProto.FLOAT) -> None:
    values[0].CopyFrom(helper.make_tensor_value_info(values[0].name, kind, sizes))


@pytest.mark.parametrize(
    ("name", "edit", "words"),
    [
        ("encoder_Q.onnx", lambda m: set_constant(m, "strength", 0), "same picture of zeros and of ones"),
        ("encoder_Q.onnx", lambda m: set_constant(m, "strength", np.nan), "numbers that are not finite"),
        ("encoder_Q.onnx", lambda m: set_shape(m.graph.input, [4, 3, SIDE, SIDE]), "does not run with cover"),
        ("encoder_Q.onnx", lambda m: set_shape(m.graph.input, [1, 1, SIDE, SIDE]), "does not run with cover"),
        ("decoder_Q.onnx", lambda m: set_shape(m.graph.input, [4, 3, SIDE, SIDE]), "does not run with image"),
        ("decoder_Q.onnx", lambda m: m.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.full((3 * SIDE * SIDE, 32), np.nan, np.float32), "patterns")), "where 32 finite numbers are wanted"),
    ],
)  # fmt: skip
def test_what_shows_only_when_it_runs_is_refused_before_an_export(tmp_path, name, edit, words):
    change(tmp_path, name, edit)
    with pytest.raises(ProvenanceError, match=words):
        open_network(tmp_path)


def test_a_setting_that_is_no_folder_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", str(tmp_path / "nowhere"))
    with pytest.raises(ProvenanceError, match="on or off, or to the whole path of a folder"):
        read_settings()
    monkeypatch.setenv("OMNIHUMAN_WATERMARK", "~nobody-of-that-name/networks")
    with pytest.raises(ProvenanceError, match="OMNIHUMAN_WATERMARK is '~nobody"):
        read_settings()


def rivagan() -> Path | None:
    """Its weights, where `pip install --no-deps invisible-watermark==0.2.0` put them: with its dependencies it would bring a second OpenCV."""
    found = importlib.util.find_spec("imwatermark")
    return None if found is None or found.origin is None else Path(found.origin).parent


@pytest.mark.skipif(rivagan() is None, reason="pip install --no-deps invisible-watermark==0.2.0")
def test_rivagans_published_weights_carry_our_payload():
    folder = rivagan()
    assert folder is not None
    networks = open_network(folder)
    assert isinstance(networks, NetworkMark) and networks.spread.bits == 32 and networks.name.endswith("RivaGAN")
    plain = film(17, 128, 128)
    marked = networks.mark(plain, PAYLOAD)
    assert 10 * np.log10(255**2 / np.mean((marked.astype(float) - plain) ** 2)) > 38
    assert networks.find(marked).payload == PAYLOAD and networks.find(marked[3:]).payload == PAYLOAD
    assert not networks.find(plain).marked
