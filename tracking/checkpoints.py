"""A checkpoint as MLflow's LoggedModel: a page under the run that trained it, where the scores of later runs gather.

It holds no file: DVC keeps the weights, the page names their digest.
"""

import tracking.mlflow_store  # noqa: F401  first: it sets what mlflow reads at import

from mlflow.exceptions import MlflowException  # isort: skip
from mlflow.tracking import MlflowClient  # isort: skip

KIND = "transformer checkpoint"


def log_checkpoint(client: MlflowClient, run_id: str, name: str, tags: dict[str, str]) -> str:
    """The page of the run's checkpoint, made where there is none; returns its id.

    Args:
        client: of the store.
        run_id: the run that trained it.
        name: the asset's.
        tags: what says which weights they are.
    """
    found = checkpoint_of_run(client, run_id)
    if found is None:
        experiment = client.get_run(run_id).info.experiment_id
        found = client.create_logged_model(experiment, name=name, source_run_id=run_id, model_type=KIND).model_id
        client.finalize_logged_model(found, "READY")
    client.set_logged_model_tags(found, tags)
    return found


def checkpoint_of_run(client: MlflowClient, run_id: str) -> str | None:
    """The id of the checkpoint that the run trained, or None, also where the run is of another store; pipelines in the registry are none."""
    try:
        experiment = client.get_run(run_id).info.experiment_id
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
    page = client.search_logged_models(
        [experiment], filter_string=f"source_run_id = '{run_id}' AND model_type = '{KIND}'"
    )
    return page[0].model_id if page else None
