"""What a request for a video says, in either of the forms that OpenAI's and vLLM-Omni's clients send: multipart, or JSON.

Their names stand beside our own: https://docs.vllm.ai/projects/vllm-omni/en/stable/serving/videos_api/
"""

import base64
import binascii
import io
import json
import mimetypes
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, BinaryIO

from fastapi import HTTPException, Request
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile

from profiles.conditions import FILES
from serving.videos.settings import VideoSettings

# Their names of our fields and files.
THEIRS = {"num_inference_steps": "steps", "guidance_scale": "guidance", "input_reference": "image"}
# Files within JSON: the field, and of its object the part that holds a data URL.
REFERENCES = {
    "image_reference": ("image", "image_url"),
    "audio_reference": ("audio", "audio_url"),
    "pose_reference": ("pose", "video_url"),
}
LISTS = ("without",)
MOST_PARTS = 64


@dataclass(frozen=True)
class Asked:
    """One request: `uploads` are contents and file names by `profiles.conditions.FILES`; `model` and `size` are empty where not given."""

    settings: VideoSettings
    uploads: Mapping[str, tuple[BinaryIO, str]]
    model: str = ""
    size: str = ""


@asynccontextmanager
async def read_asked(request: Request, largest: int) -> AsyncIterator[Asked]:
    """Read the body; its files are there until the block ends.

    Raises:
        HTTPException: 415 for another type, 422 for a field that is unknown, twice there, or cannot be read.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        yield _asked(_json(await request.body()), {})
    elif kind in ("multipart/form-data", "application/x-www-form-urlencoded"):
        async with request.form(max_files=MOST_PARTS, max_fields=MOST_PARTS, max_part_size=largest) as form:
            yield _asked(*_parts(form))
    else:
        raise HTTPException(415, "send multipart/form-data, or application/json with files as data URLs")


def openapi_body() -> dict[str, Any]:
    """The request's schema for /openapi.json: `read_asked` reads the body itself, because the same fields come in two forms."""
    settings = VideoSettings.model_json_schema()
    own = settings["properties"] | {"model": {"type": "string"}, "size": {"type": "string", "pattern": r"^\d+x\d+$"}}
    file = {"type": "string", "format": "binary"}
    urls = {
        name: {"type": "object", "properties": {part: {"type": "string", "format": "uri"}}}
        for name, (_, part) in REFERENCES.items()
    }
    forms = {
        "multipart/form-data": own | dict.fromkeys((*FILES, "input_reference"), file),
        "application/json": own | urls,
    }
    return {
        "requestBody": {
            "required": True,
            "content": {
                kind: {"schema": {"type": "object", "additionalProperties": False, "properties": fields}}
                for kind, fields in forms.items()
            },
        }
    }


def _json(body: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(body)
    except ValueError as error:
        raise HTTPException(422, f"the body is no JSON: {error}") from error
    if not isinstance(fields, dict):
        raise HTTPException(422, "the body is no JSON object of fields")
    return fields


def _parts(form: FormData) -> tuple[dict[str, Any], dict[str, tuple[BinaryIO, str]]]:
    """Fields, and files by our names; a file without a name is one that a browser's form left empty."""
    fields: dict[str, Any] = {}
    uploads: dict[str, tuple[BinaryIO, str]] = {}
    for name, value in form.multi_items():
        ours = THEIRS.get(name, name)
        if isinstance(value, UploadFile):
            if ours not in FILES:
                raise HTTPException(422, f"{name}: no file is called that; {', '.join(FILES)} are")
            if ours in uploads:
                raise HTTPException(422, f"{name}: {ours} is there twice")
            if value.filename:
                uploads[ours] = (value.file, value.filename)
        elif name in LISTS:
            fields.setdefault(name, []).append(value)
        elif name in fields:
            raise HTTPException(422, f"{name}: it is there twice")
        else:
            fields[name] = _json(value.encode()) if name in REFERENCES else value
    return fields, uploads


def _asked(fields: Mapping[str, Any], uploads: dict[str, tuple[BinaryIO, str]]) -> Asked:
    settings: dict[str, Any] = {}
    for name, value in fields.items():
        ours = THEIRS.get(name, name)
        if name in REFERENCES:
            kind, part = REFERENCES[name]
            if kind in uploads:
                raise HTTPException(422, f"{name}: {kind} is there twice")
            uploads[kind] = _from_data_url(name, part, value)
        elif ours in settings:
            raise HTTPException(422, f"{name}: {ours} is there twice")
        elif ours not in ("model", "size"):
            settings[ours] = str(value) if ours == "guidance" and isinstance(value, int | float) else value
    try:
        checked = VideoSettings(**settings)
    except ValidationError as error:
        said = [f"{'.'.join(map(str, found['loc']))}: {found['msg']}" for found in error.errors()]
        raise HTTPException(422, "; ".join(said)) from error
    return Asked(checked, uploads, str(fields.get("model") or ""), str(fields.get("size") or ""))


def _from_data_url(name: str, part: str, value: Any) -> tuple[BinaryIO, str]:
    url = value.get(part) if isinstance(value, dict) and set(value) == {part} else None
    if not isinstance(url, str):
        raise HTTPException(422, f'{name}: write {{"{part}": "data:...;base64,..."}}')
    head, _, content = url.partition(",")
    if not head.startswith("data:") or not head.endswith(";base64"):
        raise HTTPException(422, f"{name}.{part}: only data URLs in base64 are taken; this server fetches nothing")
    try:
        data = base64.b64decode(content, validate=True)
    except binascii.Error as error:
        raise HTTPException(422, f"{name}.{part}: that is no base64 ({error})") from error
    kind = head.removeprefix("data:").removesuffix(";base64").partition(";")[0]
    return io.BytesIO(data), f"{part.removesuffix('_url')}{mimetypes.guess_extension(kind) or ''}"
