"""`ray` without what no test uses, and with more time for a node than Ray gives it and any setting changes: a busy machine needs more.

Ray 2.60 waits 30 seconds for a node, and a raylet 15 for its agents to write which ports they have, also where those were given. Of the
dashboard's ten processes jobs need two; its client server cannot be switched off.
"""

import importlib
import sys
import time
from typing import Any

from ray._private import ray_constants, services
from ray._private.node import Node
from ray.scripts.scripts import main

PATIENCE = 300.0
_raylet: Any = importlib.import_module("ray._raylet")  # compiled, and its stub leaves these names out
ask, start, start_process = services.get_node, Node.start_raylet, services.start_ray_process


def ask_patiently(*arguments: Any, **named: Any) -> Any:
    """The node's row, once it has one."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return ask(*arguments, **named)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.2)


def start_with_ports(self: Node, *arguments: Any, **named: Any) -> Any:
    """Write the agents' ports, which the command names, before the raylet looks for them."""
    given = self._ray_params
    ports = {
        _raylet.METRICS_AGENT_PORT_NAME: given.metrics_agent_port,
        _raylet.METRICS_EXPORT_PORT_NAME: given.metrics_export_port,
        _raylet.DASHBOARD_AGENT_LISTEN_PORT_NAME: given.dashboard_agent_listen_port,
        _raylet.RUNTIME_ENV_AGENT_PORT_NAME: given.runtime_env_agent_port,
    }
    for name, port in ports.items():
        _raylet.persist_port(self._session_dir, self._node_id, name, port)
    return start(self, *arguments, **named)


def start_fewer(command: list[str], kind: str, **named: Any) -> Any:
    """A dashboard of jobs alone."""
    if kind == ray_constants.PROCESS_TYPE_DASHBOARD:
        command = [*command, "--modules-to-load=JobHead,NodeHead"]
    return start_process(command, kind, **named)


if __name__ == "__main__":
    services.get_node, services.start_ray_process, Node.start_raylet = ask_patiently, start_fewer, start_with_ports
    Node.start_ray_client_server = lambda self: None
    sys.exit(main())
