"""DVC's files, parsed once and copied: the same values, written the same."""

import pytest
import yaml
from dvc.utils.serialize import YAMLError, dumps_yaml
from dvc.utils.serialize._yaml import load_yaml, modify_yaml
from ruamel.yaml import YAML

from assets.core import dvc_yaml
from assets.core.names import LOCK
from profiles import available_profiles, load_profile

STAGES = '{run: {cmd: "a: b", params: {params.yaml: {lr: 1e-08, off: null, on: "yes", hash: "123e45", octal: "012"}}}}'


@pytest.fixture(autouse=True)
def _reading_once():
    dvc_yaml.read_once()


@pytest.mark.parametrize("name", available_profiles())
def test_a_lock_is_updated_as_dvc_would_and_every_value_stays(name, tmp_path):
    """All settings of a profile, which a lock repeats for each stage."""
    params, lock = tmp_path / "params.yaml", tmp_path / LOCK
    params.write_text(yaml.safe_dump(load_profile(name, []).model_dump(mode="json"), sort_keys=False, width=120))
    values = load_yaml(params)
    assert values == YAML(typ="safe").load(params.read_text())
    lock.write_text(dumps_yaml({"schema": "2.0", "stages": YAML(typ="safe").load(STAGES) | {name: values}}))
    expected, kept = YAML(), lock.read_text()
    by_dvc = expected.load(kept)
    by_dvc["stages"]["another"] = {"params": values}
    with modify_yaml(lock) as found:
        found["stages"]["another"] = {"params": values}
    expected.default_flow_style = False
    with (tmp_path / "by_dvc").open("w") as file:
        expected.dump(by_dvc, file)
    assert lock.read_text() == (tmp_path / "by_dvc").read_text() and lock.read_text().startswith(kept)


def test_a_text_is_parsed_once_and_nobody_gets_what_another_changed(tmp_path, monkeypatch):
    file, parsed = tmp_path / "dvc.yaml", []
    file.write_text(f"stages: {STAGES}  # of this test\n")
    real = dvc_yaml._dvc_parser()
    monkeypatch.setattr(dvc_yaml, "_dvc_parser", lambda: lambda *given: parsed.append(given) or real(*given))
    first = load_yaml(file)
    first["stages"].clear()
    second = load_yaml(file)
    assert len(parsed) == 1 and second["stages"]["run"]["params"]["params.yaml"]["lr"] == 1e-08
    file.write_text("stages: {}\n")
    assert load_yaml(file) == {"stages": {}}


def test_comments_of_a_file_that_people_write_stay(tmp_path):
    file = tmp_path / "dvc.yaml"
    file.write_text("# ours\nstages:\n  run:\n    cmd: a  # and this\n")
    with modify_yaml(file) as found:
        found["stages"]["run"]["desc"] = "b"
    assert file.read_text() == "# ours\nstages:\n  run:\n    cmd: a  # and this\n    desc: b\n"


def test_what_is_no_yaml_is_said_with_its_file_each_time(tmp_path):
    file = tmp_path / LOCK
    file.write_text("stages: [")
    for _ in range(2):
        with pytest.raises(YAMLError, match=LOCK):
            load_yaml(file)
