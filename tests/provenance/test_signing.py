"""Every way a signed file can meet `verify`, each with its own outcome; and C2PA's own reader in a process of its own."""

import errno
import json
import multiprocessing
import os
import resource
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import av
import numpy as np
import pytest

from media import encode_clip
from media.decode import decode_clip
from media.segments import SegmentedVideo
from provenance import signing
from provenance.outcomes import CHANGED, NO_MARK, UNTOUCHED, Unread, exit_code
from provenance.settings import ProvenanceError
from provenance.signature import read_signature
from provenance.signing import SOURCE_TYPE, Signer, Statement
from provenance.thumbnails import thumbnails_in
from provenance.verify import verify_each, verify_files, whom_we_trust
from tests.provenance.cases import (
    STATEMENT,
    ask_a_public_reader,
    before_it_expires,
    issue,
    pictures,
    save_mp4,
    save_pair,
    save_png,
    signed,
)

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path) -> None:
    for name in ("SIGNING", "CERTIFICATE", "KEY", "TIME_STAMPS", "TRUSTED"):
        monkeypatch.delenv(f"OMNIHUMAN_{name}", raising=False)
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "keys"))


def signature(path: Path, certificate: Path | None = None):
    return read_signature(path, whom_we_trust(certificate))


@pytest.mark.parametrize(("save", "name", "kind"), [(save_mp4, "a.mp4", "video/mp4"), (save_png, "a.png", "image/png")])
def test_a_public_reader_validates_what_we_signed(save, name, kind, tmp_path):
    path = signed(save(tmp_path / name))
    store = ask_a_public_reader(path, kind)
    manifest = store["manifests"][store["active_manifest"]]
    assert store["validation_state"] == "Valid"
    assert [found["code"] for found in store["validation_results"]["activeManifest"]["failure"]] == [
        "signingCredential.untrusted"
    ]
    said = {part["label"]: part["data"] for part in manifest["assertions"]}
    assert said["c2pa.actions.v2"]["actions"][0]["action"] == "c2pa.created"
    assert said["c2pa.actions.v2"]["actions"][0]["digitalSourceType"] == SOURCE_TYPE
    assert {key: said["omnihuman.generation"][key] for key in STATEMENT.record} == STATEMENT.record
    assert manifest["claim_generator_info"][0]["name"] == "omnihuman-pipeline"


def test_an_untouched_file_is_ours_and_says_what_made_it(tmp_path):
    found = signature(signed(save_mp4(tmp_path / "a.mp4")))
    assert (found.outcome, found.reason) == (UNTOUCHED, "intact")
    assert found.says["model"] == "omnihuman-student version 3" and f"{found.says['model']}, 20" in found.told


def test_signing_leaves_pictures_and_sound_as_they_were(tmp_path):
    plain = decode_clip(save_mp4(tmp_path / "a.mp4"), 16)
    ours = decode_clip(signed(tmp_path / "a.mp4"), 16)
    assert (plain.frames == ours.frames).all() and len(plain.frames) == 9


@pytest.mark.parametrize(("save", "name"), [(save_mp4, "a.mp4"), (save_png, "a.png")])
def test_one_flipped_byte_of_picture_data_is_changed(save, name, tmp_path):
    path = signed(save(tmp_path / name))
    data = bytearray(path.read_bytes())
    data[len(data) * 3 // 4] ^= 1
    path.write_bytes(data)
    assert (signature(path).outcome, signature(path).reason) == (CHANGED, "changed")


def test_a_changed_statement_is_changed(tmp_path):
    path = signed(save_mp4(tmp_path / "a.mp4"))
    data = path.read_bytes()
    path.write_bytes(data.replace(b"student version 3", b"student version 4"))
    assert signature(path).outcome == CHANGED


def test_a_manifest_with_other_pixels_is_changed(tmp_path):
    path, other = signed(save_png(tmp_path / "a.png")).read_bytes(), save_png(tmp_path / "b.png").read_bytes()
    length = int.from_bytes(path[33:37]) + 12
    assert path[37:41] == b"caBX"
    flipped = bytearray(other)
    flipped[-30] ^= 255
    (tmp_path / "b.png").write_bytes(flipped[:33] + path[33 : 33 + length] + flipped[33:])
    assert (signature(tmp_path / "b.png").outcome, signature(tmp_path / "b.png").reason) == (CHANGED, "changed")


def test_an_mp4_with_the_manifest_of_another_film_is_changed(tmp_path):
    """A whole film that can be played, with a box that we signed: for other pictures."""
    ours, theirs = signed(save_mp4(tmp_path / "a.mp4")).read_bytes(), tmp_path / "b.mp4"
    theirs.write_bytes(encode_clip(pictures()[::-1].copy(), 16, np.zeros(9000, np.float32)))
    other = signed(theirs).read_bytes()
    (at, length), (place, room) = manifest_box(ours), manifest_box(other)
    assert length == room
    theirs.write_bytes(other[:place] + ours[at : at + length] + other[place + room :])
    assert len(decode_clip(theirs, 16).frames) == 9
    assert (signature(theirs).outcome, signature(theirs).reason) == (CHANGED, "changed")


def manifest_box(data: bytes) -> tuple[int, int]:
    """Place and length of the box of an mp4 that holds the manifest."""
    at = 0
    while data[at + 4 : at + 8] != b"uuid":
        at += int.from_bytes(data[at : at + 4])
    return at, int.from_bytes(data[at : at + 4])


def test_a_file_that_another_tool_wrote_anew_carries_no_mark(tmp_path):
    path = signed(save_mp4(tmp_path / "a.mp4"))
    with av.open(str(path)) as source, av.open(str(tmp_path / "b.mp4"), "w") as target:
        stream = source.streams.video[0]
        copy = target.add_stream_from_template(stream)
        for packet in source.demux(stream):
            if packet.dts is not None:
                packet.stream = copy
                target.mux(packet)
    assert (signature(tmp_path / "b.mp4").outcome, signature(tmp_path / "b.mp4").reason) == (NO_MARK, "none")


@pytest.mark.parametrize(
    ("left", "outcome", "reason"), [(0.9, CHANGED, "changed"), (100, NO_MARK, "unreadable"), (0, NO_MARK, "no_media")]
)
def test_a_truncated_video_is_never_untouched(left, outcome, reason, tmp_path):
    path = signed(save_mp4(tmp_path / "a.mp4"))
    data = path.read_bytes()
    path.write_bytes(data[: left if isinstance(left, int) else int(left * len(data))])
    assert (signature(path).outcome, signature(path).reason) == (outcome, reason)


def test_a_truncated_picture_is_unreadable(tmp_path):
    path = signed(save_png(tmp_path / "a.png"))
    path.write_bytes(path.read_bytes()[:-40])
    assert (signature(path).outcome, signature(path).reason) == (NO_MARK, "unreadable")


def test_a_manifest_of_somebody_else_is_no_mark_of_ours(tmp_path, monkeypatch):
    signed(save_mp4(tmp_path / "ours.mp4"))
    theirs = save_pair(tmp_path / "theirs", issue("Another Studio"))
    with monkeypatch.context() as other:
        for name, value in theirs.items():
            other.setenv(name, value)
        path = signed(save_mp4(tmp_path / "theirs.mp4"))
    found = signature(path)
    assert (found.outcome, found.reason) == (NO_MARK, "others") and "Another Studio" in found.told
    assert signature(path, Path(theirs["OMNIHUMAN_CERTIFICATE"])).outcome == UNTOUCHED
    monkeypatch.setenv("OMNIHUMAN_TRUSTED", theirs["OMNIHUMAN_CERTIFICATE"])
    assert signature(path).outcome == UNTOUCHED and signature(tmp_path / "ours.mp4").outcome == UNTOUCHED


def test_another_certificate_of_the_same_authority_is_not_ours(tmp_path, monkeypatch):
    root = issue("Root", authority=True)
    for name, value in save_pair(tmp_path / "theirs", issue("Theirs", by=root), root[0]).items():
        monkeypatch.setenv(name, value)
    path = signed(save_png(tmp_path / "a.png"))
    assert signature(path).outcome == UNTOUCHED
    for name, value in save_pair(tmp_path / "ours", issue("Ours", by=root), root[0]).items():
        monkeypatch.setenv(name, value)
    assert (signature(path).outcome, signature(path).reason) == (NO_MARK, "others")


def test_a_certificate_that_expired_after_signing_vouches_for_nothing(tmp_path, monkeypatch):
    def sign(pair):
        for name, value in save_pair(tmp_path / "own", pair).items():
            monkeypatch.setenv(name, value)
        return signed(save_png(tmp_path / "a.png"))

    path = before_it_expires(sign)
    assert (signature(path).outcome, signature(path).reason) == (NO_MARK, "expired")


def test_a_full_disk_leaves_the_old_file_and_nothing_else(tmp_path):
    path, target = save_mp4(tmp_path / "a.mp4"), tmp_path / "out.mp4"
    target.write_bytes(b"old")
    signer = Signer.open()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size // 2, hard))
    try:
        with pytest.raises(OSError) as caught:
            signer.sign(path, target, STATEMENT)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert caught.value.errno == errno.EFBIG
    assert target.read_bytes() == b"old" and sorted(p.name for p in tmp_path.iterdir()) == ["a.mp4", "keys", "out.mp4"]


def test_a_process_that_was_forked_after_signing_signs_too(tmp_path):
    """What C2PA's library made for the parent it refuses in the child."""
    signed(save_png(tmp_path / "parent.png"))
    path = save_png(tmp_path / "child.png")
    child = multiprocessing.get_context("fork").Process(target=signed, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == 0 and signature(path).outcome == UNTOUCHED


def test_threads_sign_with_one_key(tmp_path):
    paths = [save_png(tmp_path / f"{number}.png") for number in range(16)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(signed, paths))
    assert {signature(path).outcome for path in paths} == {UNTOUCHED}


def test_credentials_of_inputs_are_kept_and_their_names_are_not(tmp_path):
    face = signed(save_png(tmp_path / "jane-doe.png"), Statement({"model": "another"}, "an earlier picture"))
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "cut.png").write_bytes(face.read_bytes()[:3000])
    inputs = {"image": face, "audio": tmp_path / "notes.txt", "pose": tmp_path / "cut.png"}
    path = signed(save_mp4(tmp_path / "a.mp4"), Statement({"model": "m"}, "made of it", inputs))
    assert signature(path).says["inputs_without_credentials"] == ["audio", "pose"]
    store = ask_a_public_reader(path)
    (kept,) = store["manifests"][store["active_manifest"]]["ingredients"]
    assert (kept["title"], kept["relationship"]) == ("image", "inputTo")
    assert any(part["title"] == "an earlier picture" for part in store["manifests"].values())
    assert b"jane" not in path.read_bytes()


def test_a_face_that_an_inputs_credentials_show_is_in_no_video_made_of_it(tmp_path, monkeypatch):
    """Nor in one that is made of that; a library that signs with its own settings puts a picture in, as most programs do."""
    monkeypatch.setitem(signing.BUILDING["builder"], "thumbnail", {"enabled": True})
    signing._context.cache_clear()
    face = signed(save_png(tmp_path / "face.png"), Statement({"model": "another"}, "an earlier picture"))
    second = Statement({"model": "another"}, "an edited picture", {"image": face})
    edited = signed(save_png(tmp_path / "edited.png"), second)
    monkeypatch.undo()
    signing._context.cache_clear()
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "keys"))
    assert all(thumbnails_in(face, "image/png").values())
    inputs = Statement({"model": "m"}, "made of it", {"image": edited})
    made = signed(save_mp4(tmp_path / "a.mp4"), inputs)
    again = signed(save_png(tmp_path / "b.png"), Statement({"model": "m"}, "made of that", {"pose": made}))
    both = {"image": edited, "pose": made}  # one of them has left out already what the other one shows
    beside = signed(save_mp4(tmp_path / "c.mp4"), Statement({"model": "m"}, "made of both", both))
    turned = dict(reversed(both.items()))
    after = signed(save_mp4(tmp_path / "d.mp4"), Statement({"model": "m"}, "made of both", turned))
    for path, kind in ((made, "video/mp4"), (again, "image/png"), (beside, "video/mp4"), (after, "video/mp4")):
        store = ask_a_public_reader(path, kind)
        assert store["validation_state"] == "Valid" and signature(path).outcome == UNTOUCHED
        held = [
            part for manifest in store["manifests"].values() for part in (manifest, *manifest.get("ingredients", []))
        ]
        assert not any("thumbnail" in part for part in held) and not any(thumbnails_in(path, kind).values())
        assert any(part.get("title") == "an earlier picture" for part in held), "its credentials are kept"


def test_a_changed_ingredient_is_changed(tmp_path):
    face = signed(save_png(tmp_path / "face.png"), Statement({"model": "another"}, "an earlier picture"))
    path = signed(save_mp4(tmp_path / "a.mp4"), Statement({"model": "m"}, "made of it", {"image": face}))
    path.write_bytes(path.read_bytes().replace(b"an earlier picture", b"an altered picture"))
    assert signature(path).outcome == CHANGED


def test_what_cannot_carry_a_manifest_is_refused(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"nothing")
    with pytest.raises(ProvenanceError, match="can carry"):
        signed(tmp_path / "a.mp4")


def verify(*arguments, environment=None):
    command = [sys.executable, "-W", "ignore", "-m", "orchestration.commands.cli", "verify", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


def test_the_command_says_it_in_words_codes_and_json(tmp_path):
    ours, none, changed = (
        signed(save_mp4(tmp_path / "ours.mp4")),
        save_mp4(tmp_path / "none.mp4"),
        tmp_path / "changed.png",
    )
    data = bytearray(signed(save_png(changed)).read_bytes())
    data[-60] ^= 1
    changed.write_bytes(data)
    verdicts = verify_files([ours, none, changed])
    assert [verdict.outcome for verdict in verdicts] == [UNTOUCHED, NO_MARK, CHANGED]
    assert [exit_code(verdicts[:1]), exit_code(verdicts[:2]), exit_code(verdicts)] == [0, 4, 3]
    done = verify("--json", ours, none)
    assert done.returncode == 4 and [row["outcome"] for row in json.loads(done.stdout)] == [UNTOUCHED, NO_MARK], (
        done.stderr
    )
    done = verify(none)
    assert done.returncode == 4 and "proves nothing" in done.stdout


def test_a_file_that_cannot_be_read_leaves_the_others_their_answers(tmp_path):
    ours, none, gone = signed(save_mp4(tmp_path / "ours.mp4")), save_mp4(tmp_path / "none.mp4"), tmp_path / "gone.mp4"
    done = verify(ours, tmp_path, gone, none)
    assert done.returncode == 1
    assert [line.partition(": ")[2] for line in done.stdout.splitlines() if not line.startswith(" ")] == [
        "made by us and untouched",
        "no mark found, which proves nothing",
    ]
    assert done.stderr.splitlines() == [
        f"error: {tmp_path} is a folder; name its files, such as {tmp_path}/*.png",
        f"error: there is no file {gone}; name one that is there",
    ]
    done = verify("--json", gone, ours)
    assert done.returncode == 1
    unread, read = json.loads(done.stdout)
    assert unread == {"file": str(gone), "outcome": None, "layers": [], "error": done.stderr[len("error: ") : -1]}
    assert read["outcome"] == UNTOUCHED and "error" not in read
    with pytest.raises(ProvenanceError, match=r"is a folder; name its files"):
        verify_files([ours, tmp_path])


def test_what_is_no_file_or_gives_no_bytes_is_said_and_never_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    strange = [tmp_path / "pipe.mp4", Path("/proc/self/mem"), tmp_path / ("a" * 300)]
    answers = list(verify_each([*strange, save_png(tmp_path / "none.png")]))
    errors = [answer.error for answer in answers if isinstance(answer, Unread)]
    assert [
        words in error
        for words, error in zip(("is a pipe", "mem cannot be read", "name too long"), errors, strict=True)
    ] == [True] * 3, errors
    assert answers[-1].outcome == NO_MARK and exit_code(answers) == 1


@pytest.mark.parametrize(
    ("content", "reasons"),
    [
        (b"", ["no_media", "no_media"]),
        (b"a note that somebody called .mp4\n", ["no_media", "no_media"]),
        (b"GIF8 is how this note begins\n", ["unreadable", "unreadable"]),
        (b"ID3 is how this one begins\n", ["none", "no_media"]),
        (b"\x89PNG\r\n\x1a\n", ["unreadable", "unreadable"]),
        (b"\0\0\0\x18ftypmp42 and no more", ["none", "unreadable"]),
    ],
)
def test_what_is_no_film_proves_nothing_whatever_it_is_called(content, reasons, tmp_path):
    (tmp_path / "a.mp4").write_bytes(content)
    (found,) = verify_files([tmp_path / "a.mp4"])
    assert [layer.reason for layer in found.layers] == reasons
    assert found.outcome == NO_MARK and exit_code([found]) == 4


def test_verifying_needs_neither_torch_nor_the_model():
    ask = "import sys; from orchestration.commands import cli; import provenance.verify; print(sorted({'torch', 'diffusers', 'pandas', 'mlflow', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_file_may_have_any_name(tmp_path):
    path = signed(save_mp4(tmp_path / "a.mp4"))
    shutil.copy(path, tmp_path / "download")
    assert signature(tmp_path / "download").outcome == UNTOUCHED


def test_a_long_video_is_signed_in_pieces_and_a_byte_of_any_of_them_counts(tmp_path):
    """A library that holds the file in memory would hold 24 MiB of pictures twice."""
    noise = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), np.uint8).repeat(4, axis=1).repeat(4, axis=2)
    part, path = encode_clip(noise, 16.0, pixel_format="yuv420p"), tmp_path / "long.mp4"
    with SegmentedVideo(path, 16.0, None, 16_000, {}) as video:
        for _ in range(24 * 2**20 // len(part) + 1):
            video.append(part)
    # Not ru_maxrss, which begins at the size of the process that was forked.
    program = (
        "import re, sys; from pathlib import Path; from provenance.signing import Signer, Statement\n"
        "def peak(): return int(re.search(r'VmHWM:\\s*(\\d+)', Path('/proc/self/status').read_text())[1])\n"
        "before = peak(); path = Path(sys.argv[1]); Signer.open().sign(path, path, Statement({}, 'long')); print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(done.stdout) / 2**10 < 24 and path.stat().st_size > 24 * 2**20
    assert signature(path).outcome == UNTOUCHED
    data = bytearray(path.read_bytes())
    data[20 * 2**20] ^= 1
    path.write_bytes(data)
    assert signature(path).outcome == CHANGED
