"""A copied or moved home works on its own files, and the place where it was is neither read nor written."""

import shutil
from pathlib import Path

import pytest

from tracking.mlflow_store import store_health
from tracking.moved_store import MovedStoreError
from tracking.registry import Registry, RegistryError
from tracking.tracker import Tracker

NAME = "student"


def registry_in(home: Path) -> Registry:
    return Registry(Tracker(f"sqlite:///{home / 'var' / 'mlflow.db'}"))


def register(registry: Registry, folder: Path, weights: str) -> None:
    folder.mkdir(parents=True)
    (folder / "weights").write_text(weights)
    run = registry.tracker.create_run("training", "stage", {}, {}, None)
    registry.register(NAME, folder, run)
    registry.tracker.upload(run, folder / "weights")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A home with one version in it, whose name has to be quoted in an address."""
    home = tmp_path_factory.mktemp("old") / "a home"
    register(registry_in(home), home / "model", "weights 1")
    return home


@pytest.fixture
def homes(made, tmp_path) -> tuple[Path, Path]:
    """The home where it was (a copy of it that knows no other place), and a copy of that."""
    there, here = tmp_path / "there", tmp_path / "here, now"
    shutil.copytree(made, there)
    registry_in(there).versions(NAME)
    shutil.copytree(there, here)
    return there, here


def state(home: Path) -> dict[str, tuple[int, bytes]]:
    return {str(p): (p.stat().st_mtime_ns, p.read_bytes()) for p in home.rglob("*") if p.is_file()}


def test_a_copy_reads_and_writes_its_own_files_and_says_so_once(homes, capfd):
    there, here = homes
    before = state(there)
    capfd.readouterr()
    registry = registry_in(here)
    assert registry.folder(NAME, 1).is_relative_to(here) and (registry.folder(NAME, 1) / "weights").exists()
    register(registry, here / "model 2", "weights 2")
    assert (registry.folder(NAME, 2) / "weights").read_text() == "weights 2"
    assert registry.folder(NAME, 2).is_relative_to(here / "var" / "mlartifacts")
    run = registry.version(NAME, 1).run_id
    assert registry.tracker.client.get_run(run).info.artifact_uri.startswith((here / "var").as_uri())
    assert state(there) == before, "the other place is as it was"
    (said,) = [line for line in capfd.readouterr().err.splitlines() if line.startswith("note: ")]
    assert said.startswith(f"note: this home was at {there / 'var'}: ") and said.endswith(f"now name {here / 'var'}")
    registry_in(here).versions(NAME)
    assert "note: " not in capfd.readouterr().err


def test_a_moved_home_goes_on_although_the_old_place_is_gone(homes):
    there, here = homes
    shutil.rmtree(there)
    assert store_health(f"sqlite:///{here / 'var' / 'mlflow.db'}")[0]
    assert (registry_in(here).folder(NAME, 1) / "weights").read_text() == "weights 1"


def test_a_home_under_another_name_of_the_same_folder_is_left_alone(homes, capfd):
    there, _ = homes
    (there.parent / "link").symlink_to(there)
    before = state(there)
    capfd.readouterr()
    assert (registry_in(there.parent / "link").folder(NAME, 1) / "weights").is_file()
    assert state(there) == before and "note: " not in capfd.readouterr().err


def test_a_database_that_came_without_its_files_is_refused_and_health_finds_it_first(homes):
    there, here = homes
    shutil.rmtree(here / "var" / "mlartifacts")
    uri = f"sqlite:///{here / 'var' / 'mlflow.db'}"
    words = f"copy {there / 'var' / 'mlartifacts'} to {here / 'var' / 'mlartifacts'}"
    assert store_health(uri)[0] is False and words in store_health(uri)[1]
    with pytest.raises(MovedStoreError, match=words):
        _ = Tracker(uri).client


def test_a_version_whose_files_are_gone_is_one_line(homes):
    _, here = homes
    registry = registry_in(here)
    shutil.rmtree(registry.folder(NAME, 1))
    with pytest.raises(
        RegistryError, match=rf"the files of version 1 of {NAME} cannot be had .*registered_model --force"
    ):
        registry.folder(NAME, 1)
