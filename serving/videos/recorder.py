"""From a video that was made to its row in the log of what was served."""

import hashlib
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from assets.core.workspace import Workspace
from curation.people.keypoints import KeypointDetector
from media import sha256_of_file
from omnihuman.placement import choose_device
from serving.checks.input_features import input_features
from serving.videos.jobs import Job
from serving.videos.worker import Made
from tracking.peak_memory import peak_memory_gib
from tracking.served_log import Served, ServedLog

HOUR = 3600.0


class Recorder:
    """Writes rows.

    Args:
        workspace: its profile says what is measured of inputs.
        detector: the profile's.
        log: where rows go.
        keep_inputs: keep the prompt too; without it the row has its digest.
        named: whether clients have names; an address is no name.
        days: that a row is kept.
    """

    def __init__(
        self,
        workspace: Workspace,
        detector: KeypointDetector,
        log: ServedLog,
        keep_inputs: bool,
        named: bool,
        days: float,
    ):
        self._profile, self._log, self._keep, self._named = workspace.profile, log, keep_inputs, named
        self._days, self._tidied = days, -HOUR
        self._detector = detector
        self._device = choose_device(workspace.profile.evaluation.device)

    def begin(self) -> None:
        """A video begins: from here on the most memory is counted. Once an hour what is too old is forgotten."""
        if time.monotonic() - self._tidied >= HOUR:
            self._tidied = time.monotonic()
            self._log.forget(self._days)
        if self._device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self._device)

    def record(self, job: Job, made: Made, output: Path, seconds: float, name: str = "") -> None:
        """Write one attempt.

        Args:
            job: what was asked for.
            made: what became of it.
            output: the video, where there is one.
            seconds: of work.
            name: of the row; the job's id where it is empty.

        Raises:
            ServedLogError, OSError: it cannot be written, or the video is not there any more.
        """
        prepared, known = made.prepared, made.prepared is not None
        self._log.add(
            Served(
                job=name or job.id,
                time=time.time(),
                client=job.client if self._named else "",
                model=made.model.name,
                version=made.model.version,
                weights=made.model.weights,
                canary=made.canary,
                outcome=made.outcome,
                work_seconds=seconds,
                waited_seconds=max((job.started or time.time()) - job.created, 0.0),
                video_seconds=job.seconds,
                memory_gib=self._memory(),
                inputs={} if prepared is None else dict(prepared.provenance.inputs),
                output=sha256_of_file(output) if known and output.is_file() else "",
                settings=self._settings(job.settings, made.model.quantised),
                checks={} if made.checks is None else made.checks.values(),
                failed=made.failed,
                features={} if prepared is None else input_features(self._profile, self._detector, prepared),
            )
        )

    def _settings(self, settings: Mapping[str, Any], quantised: str) -> dict[str, Any]:
        kept = dict(settings) | ({"quantised": quantised} if quantised else {})
        if not self._keep:
            prompt = str(kept.pop("prompt", ""))
            kept["prompt_sha256"] = hashlib.sha256(prompt.encode()).hexdigest()
        return kept

    def _memory(self) -> float:
        """GiB: on a GPU the most of this video, on a processor the most that this process ever held."""
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device) / 2**30
        return peak_memory_gib()
