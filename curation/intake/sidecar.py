"""What people wrote beside a clip: caption, licence, source, identity, consent, and whatever else they keep there."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Larger is no description of a clip; a shard's table must stay small.
MOST_BYTES = 1 << 20
OTHER_BYTES = 64 * 1024
NAMES = {
    "caption": "caption",
    "licence": "licence",
    "license": "licence",
    "source": "source",
    "identity": "identity",
    "consent": "consent",
}
FIELDS = ("caption", "licence", "source", "identity", "consent")


@dataclass(frozen=True)
class Sidecar:
    """Texts, empty where nothing is said. `other` is a JSON object of the keys that have no column; `note` says what was
    wrong: a bad sidecar costs its own fields, never the clip."""

    caption: str = ""
    licence: str = ""
    source: str = ""
    identity: str = ""
    consent: str = ""
    other: str = ""
    note: str = ""


def sidecar_path(clip: Path) -> Path:
    """`<file name>.json` beside the clip."""
    return clip.with_name(clip.name + ".json")


def has_sidecar(clip: Path) -> bool:
    """Whether a sidecar is there; a name too long for one has none."""
    try:
        return sidecar_path(clip).is_file()
    except OSError:
        return False


def read_sidecar(clip: Path) -> Sidecar:
    """Read the clip's sidecar. Never raises for what stands in it."""
    if not has_sidecar(clip):
        return Sidecar(note="no sidecar")
    path = sidecar_path(clip)
    try:
        if path.stat().st_size > MOST_BYTES:
            return Sidecar(note=f"sidecar has more than {MOST_BYTES} bytes and is not read")
        values = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        return Sidecar(note=_text(f"sidecar cannot be read: {error}".replace(str(path), path.name)))
    if not isinstance(values, dict):
        return Sidecar(note="sidecar is no JSON object")
    return _fields(values)


def _fields(values: dict[str, Any]) -> Sidecar:
    notes, found = [], {}
    for key, name in NAMES.items():
        if key not in values:
            continue
        value = values[key]
        if isinstance(value, str):
            found[name] = _text(value)
        elif name == "consent" and isinstance(value, bool):
            found[name] = "yes" if value else "no"
        elif name == "identity" and isinstance(value, int) and not isinstance(value, bool):
            found[name] = str(value)
        else:
            notes.append(f'sidecar has no text under "{key}"')
    if "caption" not in values:
        notes.append('sidecar has no text under "caption"')
    other = {key: value for key, value in values.items() if key not in NAMES}
    text = _text(json.dumps(other, sort_keys=True)) if other else ""
    if len(text) > OTHER_BYTES:
        names = ", ".join(sorted(other))
        notes.append(_text(f"sidecar keys {names[:200]} are not kept: {len(text)} bytes, at most {OTHER_BYTES}"))
        text = ""
    return Sidecar(**found, other=text, note="; ".join(notes))


def _text(value: str) -> str:
    """Half a surrogate pair, which JSON can spell, cannot stand in parquet as it is."""
    return value.encode("utf-8", "backslashreplace").decode()
