"""Aliases move, versions keep their files, and nothing is pickled."""

import hashlib
import os
import shutil
import socket
from pathlib import Path

import pytest

from provenance.certificates import load_credentials
from provenance.settings import read_settings
from provenance.signed_list import FILE, TamperedFiles, sign_files
from provenance.weights import BUNDLE, REGISTRATION, verify_folder
from tracking.held_once import hold_once
from tracking.mlflow_store import connect
from tracking.model_address import ModelAddress
from tracking.registry import SIGNED, Registry, RegistryError, champion_folder
from tracking.runs import open_run
from tracking.tracker import StoreError, Tracker
from tracking.version_origin import VersionOrigin


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Tracker:
    return Tracker(f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db")


def save_folder(place: Path, weights: str) -> Path:
    (place / "transformer").mkdir(parents=True)
    (place / "transformer" / "weights.safetensors").write_text(weights)
    return place


def test_run_records_parameters_curve_and_failure(tracker: Tracker, tmp_path: Path) -> None:
    snapshot = tmp_path / "training_snapshot" / "snapshot.json"
    snapshot.parent.mkdir()
    snapshot.write_text('{"digest": "' + "ab" * 32 + '"}')
    with open_run(
        tracker, "training", "stage_1", params={"steps": 3}, tags={"kind": "stage"}, snapshot=snapshot
    ) as run:
        run.log_many([(step, {"loss": 1.0 / (step + 1)}) for step in range(1500)])
        run.figure(b"\x89PNG", "plots/one.png")
    found = tracker.client.get_run(run.run_id)
    assert found.info.status == "FINISHED"
    assert found.data.params["steps"] == "3"
    assert found.data.tags["snapshot_digest"] == "ab" * 32
    assert found.inputs.dataset_inputs[0].dataset.digest == "ab" * 16
    assert len(tracker.client.get_metric_history(run.run_id, "loss")) == 1500
    assert [f.path for f in tracker.client.list_artifacts(run.run_id, "plots")] == ["plots/one.png"]

    with pytest.raises(ZeroDivisionError), open_run(tracker, "training", "bad") as failed:
        _ = 1 / 0
    assert tracker.client.get_run(failed.run_id).info.status == "FAILED"
    with open_run(tracker, "training", "bad", run_id=failed.run_id):
        assert tracker.client.get_run(failed.run_id).info.status == "RUNNING"


def test_alias_round_trip(tracker: Tracker, tmp_path: Path) -> None:
    name, registry = "alias-test", Registry(tracker)
    with pytest.raises(RegistryError, match="make demo"):
        champion_folder(tracker.uri, name)
    assert registry.at_alias(name) is None and registry.versions(name) == [] and not registry.has(name, 1)
    for number in (1, 2):
        folder = save_folder(tmp_path / str(number), f"weights {number}")
        assert registry.register(name, folder, origin=VersionOrigin(git_commit=str(number))).version == number
    assert [v.origin.git_commit for v in registry.versions(name)] == ["1", "2"]
    registry.set_alias(name, "previous", 1)
    registry.set_alias(name, "champion", 2)
    assert (champion_folder(tracker.uri, name) / "transformer" / "weights.safetensors").read_text() == "weights 2"
    assert [v.aliases for v in registry.versions(name)] == [("previous",), ("champion",)]
    assert registry.find(ModelAddress(name, "previous")) == registry.find(ModelAddress(name, version=1))
    registry.remove_alias(name, "previous")
    registry.remove_alias(name, "previous")
    assert registry.aliases(name) == {"champion": 2}
    with pytest.raises(RegistryError, match="no version 7"):
        registry.set_alias(name, "champion", 7)


def test_two_stores_in_one_process_are_not_mixed_up(tmp_path: Path) -> None:
    registries = [Registry(Tracker(f"sqlite:///{tmp_path}/{place}/mlflow.db")) for place in ("one", "two")]
    for registry in registries:
        registry.tracker.ensure()
    for number, registry in enumerate(registries):  # the store that was reached last is the second, both times
        registry.register("model", save_folder(tmp_path / f"model {number}", f"weights {number}"))
    for number, registry in enumerate(registries):
        assert (registry.folder("model", 1) / "transformer" / "weights.safetensors").read_text() == f"weights {number}"


def test_a_server_that_does_not_answer_is_no_absent_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    registry = Registry(Tracker(f"http://127.0.0.1:{port}"))
    with pytest.raises(RegistryError, match=f"MLflow at http://127.0.0.1:{port} does not answer"):
        registry.at_alias("model")


def test_reaching_a_store_leaves_the_environment_as_it_was(tmp_path, monkeypatch):
    connect(f"sqlite:///{tmp_path}/one.db")
    assert "MLFLOW_TRACKING_URI" not in os.environ
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    connect(f"sqlite:///{tmp_path}/two.db")
    assert os.environ["MLFLOW_TRACKING_URI"] == "http://127.0.0.1:1"


class SilentTracker(Tracker):
    """A store that has gone away."""

    def set_status(self, run_id: str, status: str) -> None:
        raise StoreError("connection refused")


def test_what_went_wrong_is_raised_although_the_store_went_away_meanwhile(tracker: Tracker) -> None:
    silent = SilentTracker(tracker.uri)
    with pytest.raises(ZeroDivisionError) as raised, open_run(silent, "training", "bad"):
        _ = 1 / 0
    assert "connection refused" in raised.value.__notes__[0]


def test_a_store_says_what_its_experiments_and_models_are_and_holds_no_empty_one(tmp_path: Path) -> None:
    registry = Registry(Tracker(f"sqlite:///{tmp_path}/mlflow.db"))
    registry.register("model", save_folder(tmp_path / "model", "w"), about="It talks.")
    client = registry.tracker.client
    (only,) = client.search_experiments()
    assert only.name == "models" and "registered models" in only.tags["mlflow.note.content"]
    assert client.get_registered_model("model").description == "It talks."
    registry.register("model", tmp_path / "model", about="It talks, in one step.")
    assert client.get_registered_model("model").description == "It talks, in one step."


def test_mlflows_own_experiment_stays_where_somebody_uses_it(tmp_path: Path) -> None:
    tracker = Tracker(f"sqlite:///{tmp_path}/mlflow.db")
    tracker.client.create_run("0", run_name="somebody's")
    tracker.ensure()
    tracker.experiment_id("training")
    assert {found.name for found in tracker.client.search_experiments()} == {"Default", "training"}


def test_one_changed_byte_of_a_version_is_refused_by_the_name_of_its_file(tracker: Tracker, tmp_path: Path) -> None:
    registry = Registry(tracker)
    version = registry.register(
        "signed-test", save_folder(tmp_path / "model", "weights"), origin=VersionOrigin(snapshot_digest="cd34")
    )
    folder = registry.folder("signed-test", version.version)
    assert verify_folder(folder, read_settings()).about == {"model": "signed-test", "snapshot_digest": "cd34"}
    weights = folder / "transformer" / "weights.safetensors"
    weights.write_text("wEights")
    with pytest.raises(TamperedFiles, match=r"transformer/weights.safetensors is not the file that was signed"):
        registry.folder("signed-test", version.version)
    weights.write_text("weights")
    (folder / BUNDLE).unlink()  # the version's tag says that there was one
    with pytest.raises(TamperedFiles, match="is not signed"):
        registry.folder("signed-test", version.version)


def test_what_a_version_has_in_common_with_the_newest_ones_is_held_once(tmp_path: Path) -> None:
    registry = Registry(Tracker(f"sqlite:///{tmp_path}/mlflow.db"))

    def register(name: str, weights: str) -> Path:
        folder = save_folder(tmp_path / weights, weights)
        for network in ("vae", "text_encoder"):
            (folder / network).mkdir()
            (folder / network / "model.safetensors").write_text(network)
            (folder / network / "config.json").write_text("{}")
        return registry.folder(name, registry.register(name, folder).version)

    first, teacher, second = register("student", "one"), register("teacher", "three"), register("student", "two")
    for network in ("vae", "text_encoder"):
        files = [folder / network / "model.safetensors" for folder in (first, teacher, second)]
        assert len({file.stat().st_ino for file in files}) == 1 and files[0].stat().st_nlink == 3
        assert len({(folder / network / "config.json").stat().st_ino for folder in (first, teacher, second)}) == 3
    assert all((folder / "transformer" / "weights.safetensors").stat().st_nlink == 1 for folder in (first, second))
    shutil.rmtree(first)
    assert registry.folder("student", 2) == second, "its files are its own"
    third = register("student", "four")
    assert (third / "vae" / "model.safetensors").samefile(second / "vae" / "model.safetensors")


def test_a_disk_without_links_keeps_copies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = (save_folder(tmp_path / name, "weights") for name in ("one", "two"))

    def refused(*_: object) -> None:
        raise OSError(1, "Operation not permitted")

    with monkeypatch.context() as without:
        without.setattr(os, "link", refused)
        assert hold_once(two, [one]) == 0 and sorted(p.name for p in (two / "transformer").iterdir()) == [
            "weights.safetensors"
        ]
    assert hold_once(two, [one]) == len("weights") and hold_once(two, [one]) == 0
    (two / "transformer" / "weights.safetensors").unlink()
    (two / "transformer" / "weights.safetensors").write_text("Weights")
    assert hold_once(two, [one]) == 0, "as long, and not the same"


def test_a_folder_with_links_and_names_of_any_kind_is_registered_as_it_was_signed(
    tracker: Tracker, tmp_path: Path
) -> None:
    folder = save_folder(tmp_path / "model", "weights")
    shutil.move(folder / "transformer", tmp_path / "elsewhere")
    (folder / "transformer").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RegistryError, match="transformer is a link to a folder"):
        Registry(tracker).register("links-test", folder)
    (folder / "transformer").unlink()
    shutil.copytree(tmp_path / "elsewhere", folder / "transformer")
    (folder / "linked.json").symlink_to(folder / "transformer" / "weights.safetensors")
    for name in ("a b.json", "ä ß.json", ".gitattributes"):
        (folder / name).touch()
    made = Registry(tracker).register("links-test", folder)
    found = Registry(tracker).folder("links-test", made.version)
    assert (found / "linked.json").read_text() == "weights"
    (folder / "nowhere").symlink_to(tmp_path / "nowhere")
    with pytest.raises(TamperedFiles, match="nowhere is neither a file nor a folder"):
        Registry(tracker).register("links-test", folder)
    assert len(Registry(tracker).versions("links-test")) == 1


def test_another_versions_signed_files_are_not_taken_for_this_ones(tracker: Tracker, tmp_path: Path) -> None:
    registry = Registry(tracker)
    one, two = (registry.register("swap-test", save_folder(tmp_path / name, name)) for name in ("one", "two"))
    first, second = (registry.folder("swap-test", made.version) for made in (one, two))
    shutil.copytree(first, second, dirs_exist_ok=True)
    with pytest.raises(TamperedFiles, match="is not what was registered as version 2 of swap-test"):
        registry.folder("swap-test", two.version)


def test_a_version_signed_before_model_signing_was_used_is_taken_still(tracker: Tracker, tmp_path: Path) -> None:
    registry = Registry(tracker)
    version = registry.register("earlier-test", save_folder(tmp_path / "model", "weights"))
    folder = registry.folder("earlier-test", version.version)
    for name in (BUNDLE, REGISTRATION):
        (folder / name).unlink()
    files = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    statement = sign_files(files, {"model": "earlier-test"}, load_credentials(read_settings()))
    (folder / FILE).write_bytes(statement)
    registry.set_tags("earlier-test", version.version, {SIGNED: hashlib.sha256(statement).hexdigest()})
    assert registry.folder("earlier-test", version.version) == folder
    (folder / "transformer" / "weights.safetensors").write_text("wEights")
    with pytest.raises(TamperedFiles, match=r"transformer/weights.safetensors is not the file that was signed"):
        registry.folder("earlier-test", version.version)


def test_a_version_without_a_signature_is_taken_with_a_warning(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    registry = Registry(tracker)
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    version = registry.register("unsigned-test", save_folder(tmp_path / "model", "weights"))
    assert registry.folder("unsigned-test", version.version).is_dir() and "is not signed" in caplog.text


@pytest.mark.parametrize("name", [BUNDLE, FILE])
def test_a_stale_signature_is_refused_while_signing_is_off_and_replaced_when_it_is_on_again(
    tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    registry, folder = Registry(tracker), save_folder(tmp_path / "model", "weights")
    first = registry.folder("stale-test", registry.register("stale-test", folder).version)
    files = {"transformer/weights.safetensors": folder / "transformer" / "weights.safetensors"}
    stale = (
        (first / BUNDLE).read_bytes() if name == BUNDLE else sign_files(files, {}, load_credentials(read_settings()))
    )
    (folder / name).write_bytes(stale)
    if name == BUNDLE:
        shutil.copy(first / REGISTRATION, folder / REGISTRATION)
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    as_signed = registry.register("stale-test", folder)  # it fits still, and goes along
    assert registry.folder("stale-test", as_signed.version).is_dir()
    files["transformer/weights.safetensors"].write_text("trained on")
    with pytest.raises(RegistryError, match=rf"{name} is of an earlier registration .*weights\.safetensors is not the"):
        registry.register("stale-test", folder)
    monkeypatch.delenv("OMNIHUMAN_SIGNING")
    signed = registry.register("stale-test", folder)
    assert verify_folder(registry.folder("stale-test", signed.version), read_settings()).about == {
        "model": "stale-test"
    }
    (folder / name).unlink()
    (folder / REGISTRATION).unlink(missing_ok=True)
    monkeypatch.setenv("OMNIHUMAN_SIGNING", "off")
    unsigned = registry.register("stale-test", folder)
    monkeypatch.delenv("OMNIHUMAN_SIGNING")
    assert registry.folder("stale-test", unsigned.version).is_dir() and SIGNED not in unsigned.tags
