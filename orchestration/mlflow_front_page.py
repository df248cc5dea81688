"""How MLflow's pages open: at the experiments, for training models, without an assistant and with no word to its makers.

MLflow has no settings of the server for these. They are choices that its pages keep in the browser; here each that was not made yet is made
before the pages start, and whoever makes another keeps it.
"""

import json
from pathlib import Path

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

EXPERIMENTS = "#/experiments"
# Keys and values of MLflow 3.17's own `localStorage`.
CHOICES = {
    "mlflow.workflowType_v1": '"machine_learning"',
    "mlflow.assistant.fab.autoOpenedOnFirstLoad_v1": "true",
    "mlflow.settings.telemetry.enabled_v1": "false",
    "mlflow.telemetry.info.alert.dismissed_v1": "true",
}
SCRIPT = """<script>
for (const [key, value] of Object.entries(%s)) if (localStorage.getItem(key) === null) localStorage.setItem(key, value);
if (["", "#", "#/"].includes(location.hash)) location.replace("%s");
</script>"""


class FrontPage:
    """MLflow's app, whose first page begins with the choices above."""

    def __init__(self, app: ASGIApp, index: Path):
        """`index` is MLflow's own index.html."""
        self.app = app
        head, mark, rest = index.read_text().partition("<head>")
        self.page = head + mark + SCRIPT % (json.dumps(CHOICES), EXPERIMENTS) + rest

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the first page, and leave the rest to MLflow."""
        if scope["type"] == "http" and scope["path"] == "/" and scope["method"] == "GET":
            headers = {"Cache-Control": "no-cache", "X-Frame-Options": "SAMEORIGIN"}
            await HTMLResponse(self.page, headers=headers)(scope, receive, send)
        else:
            await self.app(scope, receive, send)
