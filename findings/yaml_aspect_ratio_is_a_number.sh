#!/usr/bin/env bash
# PyYAML 6.0.3, OmegaConf 2.4.1rc1, hydra-core 1.4.0rc3, ruamel.yaml 0.19.1 (Python 3.11): `aspect: 16:9` is 969 in a file and "16:9" on the command line.
#
# Seen: YAML 1.1 counts 16:9 to the base of sixty, and PyYAML and OmegaConf, which is built on it, still do: 969; `start: 1:30` is 90, `seed: 012` is 10. ruamel.yaml,
# with which DVC reads params.yaml, takes YAML 1.2: "16:9", "1:30", 12. Hydra reads its files by OmegaConf and its command line by a grammar of its own,
# where aspect=16:9 is the string and seed=012 is "012". `lr: 1e-4` goes the other way: a string for PyYAML alone, a number for the others. So a seed is
# 10, 12 or "012" by the part of a pipeline that reads it, and writing a default out on the command line changes it. Quotes help, everywhere.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install pyyaml==6.0.3 omegaconf==2.4.1rc1 hydra-core==1.4.0rc3 ruamel.yaml==0.19.1
"$work/venv/bin/python" - "$work" <<'PY'
import sys
from pathlib import Path

import hydra
import yaml
from omegaconf import OmegaConf
from ruamel.yaml import YAML

folder = Path(sys.argv[1]).resolve()
LINES = {"aspect": "16:9", "start": "1:30", "seed": "012", "lr": "1e-4", "gate": "off"}
text = "".join(f"{key}: {value}\n" for key, value in LINES.items())
(folder / "config.yaml").write_text(text)


def composed(overrides: list[str]) -> dict:
    with hydra.initialize_config_dir(str(folder)):
        return OmegaConf.to_container(hydra.compose("config", overrides))


seen = {
    "PyYAML": yaml.safe_load(text),
    "OmegaConf": OmegaConf.to_container(OmegaConf.create(text)),
    "Hydra, the file": composed([]),
    "Hydra, command line": composed([f"{key}={value}" for key, value in LINES.items()]),
    "ruamel.yaml": dict(YAML(typ="safe").load(text)),
}
for name, values in seen.items():
    print(f"{name:20} {values}")
old = {"aspect": 16 * 60 + 9, "start": 60 + 30, "seed": 0o12, "lr": 1e-4, "gate": False}
assert seen["PyYAML"] == old | {"lr": "1e-4"}
assert seen["OmegaConf"] == seen["Hydra, the file"] == old
assert seen["Hydra, command line"] == LINES | {"lr": 1e-4}
assert seen["ruamel.yaml"] == LINES | {"seed": 12, "lr": 1e-4}
PY
