#!/usr/bin/env bash
# mlflow 3.17.2 with a sqlite store: a copied folder goes on reading and writing the files of the place that it was copied from.
#
# Seen: the database holds whole file:// addresses (experiments, runs, logged models, versions). After `cp -r there here`, a client of
# here's database lists and loads the model from there, and a new artifact of a run of the copy lands there. Nothing warns. With `there`
# removed, downloading the registered version fails although its files lie beside the database in `here`.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" -q --disable-pip-version-check install mlflow-skinny==3.17.2 sqlalchemy==2.1.9 alembic==1.20.1 pandas==3.1.1
cat > "$work/store.py" <<'PY'
import os, shutil, sys
os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
from pathlib import Path
import mlflow
from mlflow.tracking import MlflowClient
root = Path(sys.argv[1]); there, here = root / "there", root / "here"

def client(home):
    uri = f"sqlite:///{home}/mlflow.db"
    mlflow.set_tracking_uri(uri); mlflow.set_registry_uri(uri)
    return MlflowClient(uri, uri)

def folder(home):
    client(home)
    return Path(mlflow.artifacts.download_artifacts(artifact_uri="models:/m/1"))

there.mkdir(); (root / "model").mkdir(); (root / "model" / "weights").write_text("w")
made = client(there)
experiment = made.create_experiment("e", artifact_location=(there / "artifacts").as_uri())
run = made.create_run(experiment).info.run_id
model = made.create_logged_model(experiment, name="m", source_run_id=run)
made.log_model_artifacts(model.model_id, str(root / "model")); made.finalize_logged_model(model.model_id, "READY")
made.create_registered_model("m"); made.create_model_version("m", f"models:/{model.model_id}", model_id=model.model_id)
shutil.copytree(there, here)
print("the copy reads from", folder(here).relative_to(root).parts[0])
new = client(here).create_run(experiment).info.run_id
client(here).log_text(new, "text", "note.txt")
print("the copy writes to", next(root.rglob("note.txt")).relative_to(root).parts[0])
shutil.rmtree(there)
try:
    print("found", folder(here))
except Exception as error:
    print("without the other place:", type(error).__name__, "| its own file:", len(list(here.rglob("weights"))))
PY
said=$("$work/venv/bin/python" -W ignore "$work/store.py" "$work" 2>/dev/null); echo "$said"
grep -qx "the copy reads from there" <<<"$said"; grep -qx "the copy writes to there" <<<"$said"
grep -q "^without the other place: .*| its own file: 1$" <<<"$said"
