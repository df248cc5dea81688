"""Signed folders of weights: whatever is not as it was signed is refused by the name of the file."""

import json
import shutil
from pathlib import Path

import pytest

from provenance.certificates import load_credentials
from provenance.settings import read_settings
from provenance.weights import FILE, TamperedWeights, sign_folder, verify_folder
from tests.provenance.cases import flip, issue, save_pair


@pytest.fixture(autouse=True)
def settings(monkeypatch, tmp_path) -> None:
    for name in ("SIGNING", "CERTIFICATE", "KEY", "TRUSTED"):
        monkeypatch.delenv(f"OMNIHUMAN_{name}", raising=False)
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "keys"))


@pytest.fixture
def model(tmp_path) -> Path:
    folder = tmp_path / "model"
    (folder / "transformer").mkdir(parents=True)
    (folder / "transformer" / "weights.safetensors").write_bytes(bytes(range(256)) * 40)
    (folder / "model_index.json").write_text("{}")
    statement = sign_folder(folder, {"snapshot_digest": "cd34"}, load_credentials(read_settings()))
    (folder / FILE).write_bytes(statement)
    return folder


def test_what_was_signed_is_taken_and_says_its_snapshot(model):
    found = verify_folder(model, read_settings())
    assert found.about["snapshot_digest"] == "cd34" and "development" in found.signer


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: flip(m / "transformer" / "weights.safetensors"), "weights.safetensors is not the file"),
        (lambda m: (m / "model_index.json").unlink(), "model_index.json was signed and is gone"),
        (lambda m: (m / "transformer" / "more.json").write_text("{}"), "more.json was added"),
        (lambda m: (m / FILE).unlink(), "no signed list"),
        (lambda m: (m / FILE).write_text("{}"), "no signed list"),
    ],
    ids=["one_byte", "gone", "added", "unsigned", "empty"],
)
def test_whatever_changed_is_refused_by_name(model, change, words):
    change(model)
    with pytest.raises(TamperedWeights, match=words):
        verify_folder(model, read_settings())


def test_a_list_that_was_changed_with_the_file_does_not_fit_its_signature(model):
    statement = json.loads((model / FILE).read_bytes())
    statement["payload"]["about"]["snapshot_digest"] = "ef56"
    (model / FILE).write_text(json.dumps(statement))
    with pytest.raises(TamperedWeights, match="changed after it was signed"):
        verify_folder(model, read_settings())


def test_a_strangers_signature_is_refused_until_he_is_trusted(model, tmp_path, monkeypatch):
    theirs = save_pair(tmp_path / "theirs", issue("Another Studio"))
    with monkeypatch.context() as other:
        for name, value in theirs.items():
            other.setenv(name, value)
        (model / FILE).write_bytes(sign_folder(model, {}, load_credentials(read_settings())))
    with pytest.raises(TamperedWeights, match="Another Studio"):
        verify_folder(model, read_settings())
    monkeypatch.setenv("OMNIHUMAN_TRUSTED", theirs["OMNIHUMAN_CERTIFICATE"])
    assert verify_folder(model, read_settings()).signer == "Another Studio"


def test_another_machines_development_certificate_is_taken_with_a_warning_until_one_is_named(
    model, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("OMNIHUMAN_KEYS", str(tmp_path / "other_machine"))
    assert verify_folder(model, read_settings()) and "nobody vouches" in caplog.text
    for name, value in save_pair(tmp_path / "own", issue("Ours")).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(TamperedWeights, match="none of ours"):
        verify_folder(model, read_settings())


def test_a_moved_folder_is_the_same(model, tmp_path):
    shutil.move(model, tmp_path / "moved")
    assert verify_folder(tmp_path / "moved", read_settings())
