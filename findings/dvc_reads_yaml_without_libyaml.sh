#!/usr/bin/env bash
# dvc 3.67.1 with ruamel.yaml 0.19.1 (Python 3.11): pip brings no libyaml, and DVC reads all its files in pure Python.
#
# Seen: ruamel.yaml brought ruamel.yaml.clib along up to 0.18; 0.19 has it as an extra, and DVC asks for ruamel.yaml alone. DVC's loader takes
# libyaml's parser wherever it is and says nothing where it is not. With clib beside it a lock of 40 stages gives equal values (YAML 1.2's
# 1e-08 is a number with both) in well under half of the time.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
pip() { "$work/venv/bin/pip" -q --disable-pip-version-check "$@"; }
pip install dvc==3.67.1 ruamel.yaml==0.19.1
cat > "$work/read.py" <<'PY'
import json, time
from importlib.metadata import version
from dvc.utils.serialize import dumps_yaml, parse_yaml
from ruamel.yaml import YAML

stage = {"cmd": "python step.py", "deps": [{"path": "data/in", "md5": "0" * 32}], "params": {"params.yaml": {"rate": 1e-8, "sizes": [1, 2]}}}
stages = {f"step_{n}": json.loads(json.dumps(stage)) for n in range(40)}  # each its own: equal ones would become aliases
text = dumps_yaml({"schema": "2.0", "stages": stages})
started = time.process_time()
for _ in range(5):
    values = parse_yaml(text, "dvc.lock")
assert values["stages"]["step_0"]["params"]["params.yaml"]["rate"] == 1e-8
print(json.dumps({"parser": YAML(typ="safe").Parser.__module__, "seconds": time.process_time() - started, "values": repr(values)}))
PY
"$work/venv/bin/python" -W ignore "$work/read.py" > "$work/without.json"
pip show ruamel.yaml.clib > /dev/null 2>&1 && { echo "changed: pip brings ruamel.yaml.clib with dvc"; exit 1; }
pip install ruamel.yaml.clib==0.2.15
"$work/venv/bin/python" -W ignore "$work/read.py" > "$work/with.json"
"$work/venv/bin/python" - "$work/without.json" "$work/with.json" <<'PY'
import json, sys
without, beside = (json.loads(open(path).read()) for path in sys.argv[1:])
print("without", without["parser"], f"{without['seconds']:.2f} s; with", beside["parser"], f"{beside['seconds']:.2f} s")
assert without["parser"] == "ruamel.yaml.parser" and "clib" in beside["parser"], "changed: the parsers"
assert without["values"] == beside["values"], "changed: the values differ"
assert beside["seconds"] < 0.6 * without["seconds"], "changed: libyaml saves little"
PY
