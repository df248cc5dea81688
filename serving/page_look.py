"""How the page looks, and the header that keeps every request of it on this machine."""

import gradio as gr
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# System fonts: no font is fetched, from here or elsewhere.
THEME = gr.themes.Soft(
    primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]
)
CSS = """
.gradio-container { max-width: 1280px !important; margin: 0 auto !important; }
#title h1 { margin: 0; font-size: 1.6rem; } #title p { margin: .2rem 0 0; opacity: .75; }
#measures table { width: 100%; border-collapse: collapse; font-size: .92rem; }
#measures td { padding: .4rem .5rem; border: 0 !important; border-bottom: 1px solid var(--border-color-primary) !important; vertical-align: top; }
#measures table, #measures tbody, #measures tr { border: 0 !important; } #measures td:first-child { width: 32%; }
#measures td.value { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; font-weight: 600; }
#measures td.meaning { opacity: .7; }
#cropper img { cursor: crosshair; }
#image img { image-rendering: auto; object-fit: contain; width: 100%; height: 100%; }
"""
POLICY = (
    "default-src 'self' data: blob:; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "frame-ancestors 'self'"
)


class OnlyFromHere:
    """Tells the browser to load nothing from any other host: users may be offline, and nobody need know what they do."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Add the header to every answer."""

        async def with_policy(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], (b"content-security-policy", POLICY.encode())]
            await send(message)

        await self.app(scope, receive, with_policy if scope["type"] == "http" else send)
