"""Find the other pods of a group, and probe what they serve.

Runs in a pod, beside `pod.py`: standard library only.
"""

from __future__ import annotations

import re
import socket
import urllib.error
import urllib.request
from http import HTTPStatus
from urllib.parse import urlsplit

PROBE_S = 3.0
_NODE = re.compile(r"(//)?\$\{NODE_(\d+)_IP\}(?=(:[\d$])?)")


class NotReady(Exception):  # noqa: N818 - a state, not a failure
    """Something that a process needs is not ready yet."""


class Addresses:
    """The addresses of this group's pods: this pod's from $POD_IP, the others' from DNS."""

    def __init__(self, env: dict[str, str]) -> None:
        self.index = int(env["LWS_WORKER_INDEX"])
        self._leader, _, self._domain = env["LWS_LEADER_ADDRESS"].partition(".")
        self._known = {self.index: env["POD_IP"]}

    def name(self, index: int) -> str:
        """Return a pod's DNS name as LeaderWorkerSet builds it; the leader's has no index."""
        host = f"{self._leader}-{index}" if index else self._leader
        return f"{host}.{self._domain}"

    def of(self, index: int) -> str:
        """Return a pod's address; it is resolved once and cached.

        Raises:
            NotReady: DNS does not know the pod yet.
        """
        if index not in self._known:
            family = socket.AF_INET6 if ":" in self._known[self.index] else socket.AF_INET
            try:
                results = socket.getaddrinfo(self.name(index), None, family, socket.SOCK_STREAM)
            except OSError as error:
                raise NotReady(f"the address of {self.name(index)}: {error}") from None
            self._known[index] = str(results[0][4][0])
        return self._known[index]

    def fill(self, text: str) -> str:
        """Replace `${NODE_<i>_IP}` by the pods' addresses."""

        def address(match: re.Match[str]) -> str:
            ip, slashes = self.of(int(match[2])), match[1] or ""
            in_url = bool(slashes or match[3])
            return f"{slashes}[{ip}]" if in_url and ":" in ip else slashes + ip

        return _NODE.sub(address, text)


def probe(url: str) -> None:
    """Probe a URL once: `tcp://` must accept a connection, `http://` must answer 200.

    Raises:
        NotReady: it does not.
    """
    try:
        if url.startswith("tcp://"):
            parts = urlsplit(url)
            socket.create_connection((parts.hostname or "", parts.port or 0), PROBE_S).close()
            return
        # A pod's proxy settings are for connections that leave the cluster.
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with direct.open(url, timeout=PROBE_S) as answer:
            if answer.status != HTTPStatus.OK:
                raise NotReady(f"{url}: expected status 200, got {answer.status}")
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise NotReady(f"{url}: {error}") from None
