"""Addresses of Ray clusters: whether a text is one, and whether somebody listens there. Imports no Ray."""

from __future__ import annotations

import re
import socket

from sweep.errors import BadInputError, ClusterError

REACH_SECONDS = 5.0
_HOST_PORT = re.compile(r"^(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:]+\]):(?P<port>\d{1,5})$")


def check_address(address: str) -> None:
    """Refuse what is no address, and an address where nobody listens, before anything is written.

    Raises:
        BadInputError: no such form of address.
        ClusterError: nobody listens there.
    """
    if address in {"local", "auto"}:
        return
    found = _HOST_PORT.match(address)
    if found is None or not 0 < int(found["port"]) < 65536:
        raise BadInputError(
            f"--address {address!r} is not an address of a Ray cluster; give host:port of its head node "
            "(6379 is Ray's default port), 'auto' on a node of the cluster, or 'local'"
        )
    host, port = found["host"].strip("[]"), int(found["port"])
    try:
        socket.create_connection((host, port), timeout=REACH_SECONDS).close()
    except OSError as error:
        reason = error.strerror or str(error) or "no answer"
        raise ClusterError(
            f"no Ray cluster at {address!r}: {host} port {port}: {reason}; is the cluster up (`ray status`)?"
        ) from None
