"""A Ray cluster's dashboard as jobs are given to it: asked again where it gives no answer, and of a version that takes them."""

import logging
from typing import Any

import ray
import tenacity
from ray.job_submission import JobStatus, JobSubmissionClient

from assets.launchers.settings import LauncherError, RaySettings

OLDEST = "2.2"  # that takes a number of CPUs with a job

_log = logging.getLogger(__name__)

# A dashboard that is busy, or starts anew, for a moment ends no work of days.
_patiently = tenacity.retry(
    retry=tenacity.retry_if_exception_type((RuntimeError, ConnectionError)),
    stop=tenacity.stop_after_delay(120),
    wait=tenacity.wait_fixed(3),
    reraise=True,
)


class PatientClient(JobSubmissionClient):
    """Asks again where the dashboard gives no answer."""

    @_patiently
    def get_job_status(self, job_id: str) -> JobStatus:
        return super().get_job_status(job_id)

    @_patiently
    def submit_job(self, **parameters: Any) -> str:
        """Once only: where an earlier try arrived and its answer did not, that job is the one."""
        name = parameters["submission_id"]
        if any(job.submission_id == name for job in self.list_jobs()):
            return name
        return super().submit_job(**parameters)


def connect(settings: RaySettings) -> PatientClient:
    """The dashboard of `settings.address`. Its Ray may be another version than this machine's: jobs are given to it over HTTP, and what they
    start is the cluster's own. A driver there that is of another version than the cluster is refused by Ray itself.

    Raises:
        LauncherError: it does not answer, or its Ray is too old to take jobs.
    """
    try:
        client = PatientClient(address=settings.address, headers=settings.headers)
        client._check_connection_and_version(OLDEST, f"Jobs need Ray {OLDEST} or newer there.")
    except (OSError, RuntimeError, ValueError, KeyError) as error:  # requests' errors are OSErrors
        raise LauncherError(
            f"no Ray dashboard that takes jobs answers at {settings.address}: {error}; start or update the cluster, or correct `address`"
        ) from error
    if client._server_ray_version != ray.__version__:
        _log.warning(
            "the cluster at %s has Ray %s, this machine %s; `%s` there has to be of the cluster's version",
            settings.address, client._server_ray_version, ray.__version__, settings.python,
        )  # fmt: skip
    return client


def runtime_environment(settings: RaySettings, variables: dict[str, str]) -> dict[str, Any]:
    """Of a job: the settings' variables and these, and the interpreter that has this project, for its actors too."""
    return {"env_vars": settings.environment | variables, "py_executable": settings.python}
