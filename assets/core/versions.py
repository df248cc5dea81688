"""Content versions: of folders, of frozen encoders, and of everything that a step's result depends on."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from assets.core.steps import Step
from assets.core.workspace import Workspace
from curation.errors import CurationError
from curation.scores.registry import switched_on
from media import sha256_of_file, sha256_while_unchanged
from media.features.hash_store import HashStore
from media.records import ProductRecord, SnapshotRecord
from profiles import Profile, resolve_source

PACKAGED_DETECTORS = ("puppet", "mediapipe")
ABSENT = "absent"


def folder_version(folder: Path, hashes: HashStore | None = None) -> str:
    """sha256 over relative names and bytes of a folder's files; hidden ones are drafts and left out. With `hashes` a file that nobody
    touched is read once in its life, without once in this process."""
    file_hash = sha256_while_unchanged if hashes is None else hashes.sha256
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p.relative_to(folder))):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        digest.update(bytes.fromhex(file_hash(path)))
    return digest.hexdigest()


def weights_version(folder: Path) -> str:
    """Read the digest of a checkpoint's weights: two runs that end in the same weights are the same version."""
    return ProductRecord.read(folder).weights_digest


def snapshot_version(folder: Path) -> str:
    """Read the digest that snapshot.json carries."""
    return SnapshotRecord.read(folder).digest


def file_version(name: str) -> Callable[[Path], str]:
    """Hash one file of a folder, and nothing else of it."""
    return lambda folder: hashlib.sha256((folder / name).read_bytes()).hexdigest()


def content_version(workspace: Workspace, step: Step, shard: str | None) -> str:
    """The version of what stands there: as recorded, or computed for data that `dvc checkout` or a hand brought."""
    record = workspace.record(step.name, shard)
    if record.is_file():
        recorded = json.loads(record.read_text())
        if recorded.get("signature") == signature(workspace.data(step.name, shard)):
            return recorded["data_version"]
    return fresh_version(workspace, step, shard)


def signature(folder: Path) -> str:
    """sha256 over names, sizes and times of a folder's files: cheap, and enough to tell that nobody touched them."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and not _hidden(p.relative_to(folder))):
        status = path.stat()
        digest.update(f"{path.relative_to(folder).as_posix()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def fresh_version(workspace: Workspace, step: Step, shard: str | None) -> str:
    """Computed from the files."""
    folder = workspace.data(step.name, shard)
    if step.data_version is not None:
        return step.data_version(folder)
    return folder_version(folder, HashStore(workspace.file_hashes))


def fingerprint(workspace: Workspace, step: Step, shard: str | None, steps: dict[str, Step]) -> str:
    """sha256 over code version, profile sections, encoder weights and upstream content versions."""
    upstream: dict[str, Any] = {}
    for name in step.upstream:
        above = steps[name]
        if above.sharded and shard is None:
            upstream[name] = {s: content_version(workspace, above, s) for s in workspace.shards(name)}
        elif workspace.data(name, shard if above.sharded else None).is_dir():
            upstream[name] = content_version(workspace, above, shard if above.sharded else None)
        else:
            upstream[name] = None
    settings = configuration(workspace.profile, step.sections)
    for section, value in step.neutral.items():
        if settings[section] == value:
            del settings[section]
    parts = [step.name, step.version, settings, upstream]
    if step.files:
        parts.append({name: _root_file_version(workspace.root / name) for name in step.files})
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def _root_file_version(path: Path) -> str | None:
    return sha256_of_file(path) if path.is_file() else None


def configuration(profile: Profile, sections: tuple[str, ...]) -> dict[str, Any]:
    """The values under dotted profile keys. `encoders` brings the digests of the weights along, `curation.scores` those of the
    scores that have some, `streaming` that of what streams are decoded with."""
    values = profile.model_dump(mode="json")
    found: dict[str, Any] = {}
    for section in sections:
        value: Any = values
        for key in section.split("."):
            value = value[key]
        found[section] = value
    if "encoders" in sections:
        found["weights"] = {name: source_version(source) for name, source in profile.encoders.named.items()}
    if "streaming" in sections and profile.streaming is not None and profile.streaming.autoencoder is not None:
        found["stream_weights"] = source_version(profile.streaming.autoencoder)
    if "curation.scores" in sections and (weights := score_weights(profile)):
        found["score_weights"] = weights
    return found


def score_weights(profile: Profile) -> dict[str, str]:
    """Versions of the weights that scores and the keypoint detector take by path: other files under the same path are other
    settings. `ABSENT` where they are not here: what needs them says so itself, and nothing else is held up."""
    scores, found = profile.curation.scores, {}
    for score in switched_on(scores):
        try:
            version = score.weights(score.config(scores))
        except CurationError:
            version = ABSENT
        if version:
            found[score.name] = version
    if profile.encoders.keypoints not in PACKAGED_DETECTORS:
        detector = Path(profile.encoders.keypoints)
        found["keypoints"] = folder_version(detector)[:12] if detector.is_dir() else ABSENT
    return found


def source_version(source: str) -> str:
    """Digest of a local weights folder; a hub id stands for itself.

    Raises:
        profiles.ProfileError: a local source that is not there.
    """
    resolved = resolve_source(source)
    return folder_version(Path(resolved)) if Path(resolved).is_dir() else resolved


def _hidden(relative: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in relative.parts)
