"""The page's live tab: the server's own live page in a frame, and the routes that it speaks to."""

from pathlib import Path
from typing import Any

import gradio as gr
from prometheus_client import CollectorRegistry

from serving.live.engine import LiveEngine
from serving.live.metrics import LiveMetrics
from serving.live.routes import LIVE_VIDEOS, PAGE, add_live
from serving.live.webrtc_routes import RtcSessions

__all__ = ["LIVE_VIDEOS"]  # for the page, which imports nothing of it before it is asked to


def add_live_tab() -> None:
    """A frame of the live page, opened when somebody asks for it."""
    with gr.Accordion("Live: speak, and see it spoken", open=False, elem_id="live"):
        gr.HTML(
            f'<iframe src="{PAGE}" title="Live" allow="microphone; autoplay" loading="lazy" style="width:100%;height:34rem;border:0"></iframe>'
        )


def add_live_first(app: Any, engine: LiveEngine, folder: Path) -> RtcSessions:
    """Put the live routes before Gradio's own, one of which takes every name. Gradio's app runs already: end what is returned before it."""
    routes = app.router.routes
    own = len(routes)
    sessions = add_live(app, engine, LiveMetrics(CollectorRegistry(), engine), folder)
    routes[:] = [*routes[own:], *routes[:own]]
    return sessions
