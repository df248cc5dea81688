"""Signed folders of weights: whatever is not as it was signed is refused by the name of the file, here and by the command of model-signing."""

import base64
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from provenance.certificates import load_credentials, load_weights_credentials
from provenance.settings import ProvenanceError, read_settings
from provenance.signed_list import FILE, TamperedFiles, sign_files
from provenance.weights import BUNDLE, REGISTRATION, files_of, sign_folder, verify_folder
from tests.provenance.cases import flip, issue, save_pair


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path) -> None:
    for name in ("SIGNING", "CERTIFICATE", "KEY", "TRUSTED"):
        monkeypatch.delenv(f"OMNIHUMAN_{name}", raising=False)
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "keys"))


@pytest.fixture
def weights(tmp_path) -> Path:
    folder = tmp_path / "model"
    (folder / "transformer").mkdir(parents=True)
    (folder / "transformer" / "weights.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "model_index.json").write_text("{}")
    return folder


@pytest.fixture
def model(weights) -> Path:
    return sign(weights)


def sign(folder: Path) -> Path:
    for name, content in sign_folder(
        folder, {"snapshot_digest": "cd34"}, load_weights_credentials(read_settings())
    ).items():
        (folder / name).write_bytes(content)
    return folder


def sign_as_before(folder: Path) -> Path:
    statement = sign_files(files_of(folder), {"snapshot_digest": "cd34"}, load_credentials(read_settings()))
    (folder / FILE).write_bytes(statement)
    return folder


def ask_the_librarys_command(folder: Path, root: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "model_signing", "verify", "certificate", str(folder)]
    command += ["--signature", str(folder / BUNDLE), "--certificate_chain", str(root)]
    command += ["--no-ignore-git-paths"]
    return subprocess.run(command, capture_output=True, text=True)


def test_what_was_signed_is_taken_and_says_its_snapshot(model):
    found = verify_folder(model, read_settings())
    assert found.about["snapshot_digest"] == "cd34" and "development" in found.signer and found.time


def test_the_librarys_own_command_verifies_it_in_a_process_of_its_own(weights, tmp_path):
    (weights / ".gitattributes").write_text("*")  # as what a hub gives has it
    model = sign(weights)
    root = tmp_path / "keys" / "certificate.pem"
    said = ask_the_librarys_command(model, root)
    assert said.returncode == 0 and "Verification succeeded" in said.stdout, said.stderr
    flip(model / "transformer" / "weights.safetensors")
    said = ask_the_librarys_command(model, root)
    assert said.returncode == 1 and "Hash mismatch for 'transformer/weights.safetensors'" in said.stderr


def test_the_librarys_command_takes_a_chain_by_its_root(weights, tmp_path, monkeypatch):
    root, between = issue("Root", authority=True), None
    between = issue("Between", authority=True, by=root)
    for name, value in save_pair(tmp_path / "own", issue("Studio", by=between), between[0]).items():
        monkeypatch.setenv(name, value)
    model = sign(weights)
    (tmp_path / "root.pem").write_bytes(pem(root[0]))
    assert ask_the_librarys_command(model, tmp_path / "root.pem").returncode == 0
    assert verify_folder(model, read_settings()).signer == "Studio"  # which knows no root


def pem(certificate) -> bytes:
    from provenance.certificates import PEM

    return certificate.public_bytes(PEM)


def make_file(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    return path


CHANGES = [
    (lambda m: flip(m / "transformer" / "weights.safetensors"), "weights.safetensors is not the file"),
    (lambda m: (m / "model_index.json").unlink(), "model_index.json was signed and is gone"),
    (lambda m: (m / "transformer" / "more.json").write_text("{}"), "more.json was added"),
    (lambda m: (m / ".gitattributes").write_text("*"), ".gitattributes was added"),
    (lambda m: (m / "empty").touch(), "empty was added"),
    (lambda m: make_file(m / ".git" / "config"), r"\.git/config was added"),
    (lambda m: make_file(m / "a" / "b c" / BUNDLE), r"a/b c/model\.sig was added"),
    (lambda m: (m / "more").symlink_to(make_file(m.parent / "elsewhere" / "x.json").parent), r"more/x\.json was added"),
    (lambda m: (m / "more").symlink_to(m), "more is a link to a folder that it lies in"),
    (lambda m: (m / "more").symlink_to(m / "nowhere"), "more is neither a file nor a folder"),
    (lambda m: os.mkfifo(m / "pipe"), "pipe is neither a file nor a folder"),
    (lambda m: os.close(os.open(os.fsencode(m) + b"/\xff", os.O_CREAT)), r"udcff' in .* is a name that is no UTF-8"),
]
OF_THE_LIST = [
    (lambda m: (m / FILE).unlink(), r"is not signed: it has neither model\.sig nor"),
    (lambda m: (m / FILE).write_text("[" * 100_000), "no signed list"),
    (lambda m: (m / FILE).write_text("{}"), "no signed list"),
    (lambda m: (m / BUNDLE).write_text("{}"), "no signature by a certificate"),
]
OF_THE_BUNDLE = [
    (lambda m: (m / BUNDLE).unlink(), r"is not signed: it has neither model\.sig nor"),
    (lambda m: (m / BUNDLE).write_text("{}"), "no signature by a certificate"),
    (lambda m: (m / BUNDLE).write_bytes(b""), "no signature by a certificate"),
    (lambda m: (m / BUNDLE).write_bytes((m / BUNDLE).read_bytes()[:500]), "no signature by a certificate"),
    (lambda m: (m / BUNDLE).write_text("[" * 100_000), "no signature by a certificate"),
    (lambda m: (m / REGISTRATION).write_text("{}"), "registration.json is not the file"),
    (lambda m: (m / REGISTRATION).unlink(), "registration.json was signed and is gone"),
    (lambda m: (m / FILE).write_text("{}"), "signature.json was added"),
]


@pytest.mark.parametrize(("change", "words"), CHANGES + OF_THE_BUNDLE)
def test_whatever_changed_is_refused_by_name(model, change, words):
    change(model)
    with pytest.raises(TamperedFiles, match=words):
        verify_folder(model, read_settings())


@pytest.mark.parametrize(("change", "words"), CHANGES + OF_THE_LIST)
def test_a_version_of_before_is_taken_by_its_list_and_refused_as_it_was(weights, change, words):
    model = sign_as_before(weights)
    assert verify_folder(model, read_settings()).about == {"snapshot_digest": "cd34"}
    change(model)
    with pytest.raises(TamperedFiles, match=words):
        verify_folder(model, read_settings())


def test_a_list_that_was_changed_with_the_file_does_not_fit_its_signature(weights):
    model = sign_as_before(weights)
    statement = json.loads((model / FILE).read_bytes())
    statement["payload"]["about"]["snapshot_digest"] = "ef56"
    (model / FILE).write_text(json.dumps(statement))
    with pytest.raises(TamperedFiles, match="changed after it was signed"):
        verify_folder(model, read_settings())


def test_a_bundle_that_was_changed_with_the_file_does_not_fit_its_signature(model):
    bundle = json.loads((model / BUNDLE).read_bytes())
    said = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"model_index.json", b"model_other.json")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(said).decode()
    (model / BUNDLE).write_text(json.dumps(bundle))
    (model / "model_index.json").rename(model / "model_other.json")
    with pytest.raises(TamperedFiles, match=r"model\.sig was changed after it was signed"):
        verify_folder(model, read_settings())


def test_a_strangers_signature_is_refused_until_he_is_trusted(model, tmp_path, monkeypatch):
    root = issue("Their root", authority=True)
    theirs = save_pair(tmp_path / "theirs", issue("Another Studio", by=root))
    with monkeypatch.context() as other:
        for name, value in theirs.items():
            other.setenv(name, value)
        sign(model)
    with pytest.raises(TamperedFiles, match="signed by Another Studio, whose certificate is none of ours"):
        verify_folder(model, read_settings())
    with monkeypatch.context() as other, pytest.raises(TamperedFiles, match="signed by Another Studio"):
        other.setenv("OMNIHUMAN_KEYS", str(tmp_path / "a_machine_that_signed_nothing_yet"))
        verify_folder(model, read_settings())
    monkeypatch.setenv("OMNIHUMAN_TRUSTED", theirs["OMNIHUMAN_CERTIFICATE"])
    assert verify_folder(model, read_settings()).signer == "Another Studio"
    (tmp_path / "root.pem").write_bytes(pem(root[0]))
    monkeypatch.setenv("OMNIHUMAN_TRUSTED", str(tmp_path / "root.pem"))
    assert verify_folder(model, read_settings()).signer == "Another Studio"


@pytest.mark.parametrize("signing", [sign, sign_as_before])
def test_another_machines_development_certificate_is_taken_with_a_warning_until_one_is_named(
    weights, signing, tmp_path, monkeypatch, caplog
):
    model = signing(weights)
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "other_machine"))
    assert verify_folder(model, read_settings()) and "nobody vouches" in caplog.text
    for name, value in save_pair(tmp_path / "own", issue("Ours")).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TamperedFiles, match="none of ours"):
        verify_folder(model, read_settings())


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)], ids=["ed25519", "rsa"]
)
def test_a_key_that_the_library_does_not_sign_with_signs_our_list_and_says_so(
    weights, key, tmp_path, monkeypatch, caplog
):
    for name, value in save_pair(tmp_path / "own", issue("Studio", key=key)).items():
        monkeypatch.setenv(name, value)
    model = sign(weights)
    assert "model-signing signs with keys on the curves" in caplog.text and (model / FILE).is_file()
    assert verify_folder(model, read_settings()).signer == "Studio" and not (model / BUNDLE).exists()


@pytest.mark.parametrize("key", [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)])
def test_the_library_itself_signs_with_no_such_key(weights, key, tmp_path):
    """The reason for the list beside it: when this fails, the list is no longer needed."""
    from model_signing import signing

    theirs = save_pair(tmp_path / "own", issue("Studio", key=key))
    with pytest.raises(AttributeError, match="curve"):
        signing.Config().use_certificate_signer(
            private_key=theirs["OMNIHUMAN_KEY"],
            signing_certificate=theirs["OMNIHUMAN_CERTIFICATE"],
            certificate_chain=[],
        )


def test_curves_of_other_lengths_sign_too(weights, tmp_path, monkeypatch):
    pair = issue("Studio", key=ec.generate_private_key(ec.SECP384R1()))
    for name, value in save_pair(tmp_path / "own", pair).items():
        monkeypatch.setenv(name, value)
    model = sign(weights)
    assert verify_folder(model, read_settings()).signer == "Studio"
    assert ask_the_librarys_command(model, tmp_path / "own" / "certificate.pem").returncode == 0


def test_a_moved_folder_is_the_same(model, tmp_path, monkeypatch):
    shutil.move(model, tmp_path / "moved")
    assert verify_folder(tmp_path / "moved", read_settings())
    monkeypatch.chdir(tmp_path)
    assert verify_folder(Path("moved"), read_settings())
    monkeypatch.chdir("moved")
    assert verify_folder(Path(), read_settings())


@pytest.mark.parametrize("signing", [sign, sign_as_before])
def test_files_of_any_name_and_those_behind_links_to_folders_are_signed(weights, signing, tmp_path):
    for name in ("a b", "ä\n.json", "back\\slash", "deep/er/model.sig"):
        (weights / name).parent.mkdir(parents=True, exist_ok=True)
        (weights / name).touch()
    shutil.move(weights / "transformer", tmp_path / "elsewhere")
    (weights / "transformer").symlink_to(tmp_path / "elsewhere")
    model = signing(weights)
    copied = shutil.copytree(model, tmp_path / "copied")  # as registration copies: what the link holds
    assert verify_folder(model, read_settings()) and verify_folder(copied, read_settings())
    flip(tmp_path / "elsewhere" / "weights.safetensors")
    with pytest.raises(TamperedFiles, match=r"transformer/weights\.safetensors is not the file"):
        verify_folder(model, read_settings())


@pytest.mark.parametrize("what", ["pipe", "link", "loop"])
def test_what_is_no_file_is_refused_before_anything_is_signed(weights, what):
    os.mkfifo(weights / what) if what == "pipe" else (weights / what).symlink_to(
        weights if what == "loop" else "nowhere"
    )
    with pytest.raises(TamperedFiles, match=f"{what} is .* nothing can be signed of it"):
        sign(weights)


def test_a_bundle_cannot_say_which_files_are_not_looked_at(weights, tmp_path):
    from model_signing import hashing, signing

    credentials, model = load_weights_credentials(read_settings()), sign(weights)
    ignoring = hashing.Config().set_ignored_paths(paths=["more.json", BUNDLE])
    signing.Config().use_certificate_signer(
        private_key=credentials.key_source,
        signing_certificate=credentials.source,
        certificate_chain=[tmp_path / "keys" / "certificate.pem"],
    ).set_hashing_config(ignoring).sign(model, model / BUNDLE)
    assert verify_folder(model, read_settings())
    (model / "more.json").write_text("{}")
    with pytest.raises(TamperedFiles, match=r"more\.json was added"):
        verify_folder(model, read_settings())


def test_a_certificate_that_signs_issues_none(weights, tmp_path, monkeypatch):
    ours = issue("Ours")
    for name, value in save_pair(tmp_path / "theirs", issue("Ours", by=ours), ours[0]).items():
        monkeypatch.setenv(name, value)
    model = sign(weights)
    for name, value in save_pair(tmp_path / "ours", ours).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TamperedFiles, match="whose certificate is none of ours"):
        verify_folder(model, read_settings())


def test_a_certificate_that_expired_signs_nothing_and_what_it_signed_is_taken(weights, tmp_path, monkeypatch):
    pair = issue("Studio", days=(-10, 1))
    with monkeypatch.context() as before:
        for name, value in save_pair(tmp_path / "own", pair).items():
            before.setenv(name, value)
        model = sign(weights)
    for name, value in save_pair(tmp_path / "own", issue("Studio", days=(-10, -1))).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ProvenanceError, match="not today; have it renewed"):
        sign(weights)
    monkeypatch.setenv("OMNIHUMAN_TRUSTED", str(tmp_path / "trusted.pem"))
    (tmp_path / "trusted.pem").write_bytes(pem(pair[0]))
    assert verify_folder(model, read_settings()).signer == "Studio"


def test_a_version_is_signed_anew_out_of_a_registered_folder_and_through_links(model, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(model, copy)
    weights = copy / "transformer" / "weights.safetensors"
    weights.unlink()
    weights.symlink_to(model / "transformer" / "weights.safetensors")  # as DVC's cache may
    assert verify_folder(sign(copy), read_settings()).about == {"snapshot_digest": "cd34"}
