#!/usr/bin/env bash
# aiortc: a peer that is told nothing asks a public STUN server, binds every interface but loopback, and cannot be told on which.
#
# aiortc 1.16.0, aioice 0.13.0, Python 3.11.
# A server that answers on 127.0.0.1 alone makes a peer. RTCConfiguration() has no field for addresses, and iceServers of None is not "none": it is
# Google's server. With iceServers=[] nobody is asked, but sockets are opened on all other interfaces, and on loopback there is none, so
# that two peers of one machine without a network find no way to each other. (Asked for in aiortc/aioice issue 2 since 2018; ports in issue 47.)
#
#   told nothing, a peer asks ['stun:stun.l.google.com:19302']
#   arguments of aioice.Connection that name an address or interface: []
#   loopback addresses among candidates: []
set -euo pipefail
place=$(mktemp -d); trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/venv"
"$place/venv/bin/pip" install -q --no-compile aiortc==1.16.0 aioice==0.13.0
cat > "$place/seen.py" <<'PY'
import asyncio
import inspect
import ipaddress

import aioice
from aiortc import RTCIceGatherer

servers = RTCIceGatherer.getDefaultIceServers()
print("told nothing, a peer asks", [server.urls for server in servers])
arguments = inspect.signature(aioice.Connection).parameters
# `local_username` and `local_password` name neither, nor do addresses of servers or families of addresses.
print(
    "arguments of aioice.Connection that name an address or interface:",
    [name for name in arguments if any(word in name for word in ("address", "interface", "host", "bind"))],
)


async def gathered():
    connection = aioice.Connection(ice_controlling=True)
    await connection.gather_candidates()
    hosts = [candidate.host for candidate in connection.local_candidates]
    await connection.close()
    return hosts


print("loopback addresses among candidates:", [host for host in asyncio.run(gathered()) if ipaddress.ip_address(host).is_loopback])
PY
seen=$("$place/venv/bin/python" "$place/seen.py")
echo "$seen"
[ "$seen" = "told nothing, a peer asks ['stun:stun.l.google.com:19302']
arguments of aioice.Connection that name an address or interface: []
loopback addresses among candidates: []" ] || { echo "this is no longer what the head says" >&2; exit 1; }
