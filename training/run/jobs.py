"""One training run as a file: everything the child process needs, so that it can be started again on any launcher."""

import json
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from media import write_atomically
from profiles.schema import Profile


class TrainingJob(BaseModel):
    """Paths are absolute; `section` names the part of the profile that configures this run.

    Attributes:
        kind: "stage" (flow matching), "consistency", "adversarial", "streaming" or "decoder".
        name: the asset's name; also the MLflow run's.
        profile_values: `Profile.model_dump(mode="json")`.
        snapshot: folder with snapshot.json and samples.parquet.
        features_root: folder with one folder of features per shard.
        features_remote: where shards are read that are not in that folder, `REMOTE#HASH.dir` (`media.features.remote`); empty for nowhere.
        parent: folder whose `transformer/` the weights start from; None starts from Wan or from scratch.
        diffusion_parent: adversarial and streaming only: the diffusion checkpoint that the discriminator starts from.
        output: folder that appears, whole, when training has finished.
        work: folder for checkpoints and logs while it runs; resume reads it.
        tracking_uri: of MLflow; empty for none.
        progress: file for live progress.
        continued_from: the registered model whose weights the parent holds, in words; empty for none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["stage", "consistency", "adversarial", "streaming", "decoder"]
    name: str
    profile_values: dict[str, Any]
    section: str
    snapshot: str
    features_root: str
    output: str
    work: str
    parent: str | None = None
    diffusion_parent: str | None = None
    features_remote: str = ""
    tracking_uri: str = ""
    progress: str = ""
    continued_from: str = ""

    @property
    def profile(self) -> Profile:
        """The profile, validated again in this process."""
        return Profile.model_validate(self.profile_values)

    def write(self, path: Path) -> Path:
        """Write the job file atomically and return its path."""
        write_atomically(path, self.model_dump_json(indent=1).encode())
        return path

    @classmethod
    def read(cls, path: Path) -> "TrainingJob":
        """Read a job file. Raises pydantic's ValidationError naming the key that is wrong."""
        return cls.model_validate(json.loads(path.read_text()))
