"""Requests whose body is too large are refused before they are read: by their declared length, else as soon as they exceed it."""

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.http.refusals import refusal


class BodyLimit:
    """Answers 413 with one sentence. FastAPI's own `max_body_size` answers a declared length with bare words."""

    def __init__(self, app: ASGIApp, largest: int):
        self.app, self.largest = app, largest
        self.message = f"the request is larger than {largest} bytes; send smaller files"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, counting what comes."""
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        declared = Headers(scope=scope).get("content-length", "")
        if declared.isdigit() and int(declared) > self.largest:
            return await refusal(413, self.message)(scope, receive, send)
        found = 0

        async def counted() -> Message:
            nonlocal found
            message = await receive()
            found += len(message.get("body", b""))
            if found > self.largest:
                # Raised where the body is read, so that FastAPI answers with it.
                raise HTTPException(413, self.message)
            return message

        await self.app(scope, counted, send)
