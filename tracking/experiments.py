"""The experiments that the pipeline tracks, and what MLflow's pages say of each."""

DEFAULT = "0"  # id of the one that MLflow makes with every store
DESCRIPTION = "mlflow.note.content"  # the tag that MLflow's pages show as an experiment's description

_DESCRIPTIONS = {
    "training": "One run for each training: three stages, consistency student, two adversarial phases. Parameters are the profile's section, "
    "metrics the losses and validation over steps; the data set is the training snapshot. Dagster's assets link here.",
    "evaluation": "One run for each time that generated videos, benchmark scores, baseline comparison or a study were made; the nested runs hold "
    "one model's scores each, under equal names, to compare them in one chart. Tables and the HTML report are artifacts.",
    "models": "Files of registered models that no training run of this store made.",
}


def described(name: str) -> str:
    """What an experiment of the pipeline holds; empty for anybody else's."""
    return _DESCRIPTIONS.get(name, "")
