"""Give hosts this controller's package settings, and a proxy for hosts without access to indexes.

The settings may contain credentials: they are sent as the environment of a process, on stdin.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast
from urllib.parse import urlsplit

from ci.connect.connection import LocalConnection
from ci.connect.fan_out import all_of, fan_out
from ci.errors import ConnectionLost, LamplighterError
from ci.prepare.index_proxy import IndexProxy
from ci.prepare.outbound import PORTS
from ci.prepare.recipes.uv_settings import NO_OFFER, OFFER, index_settings
from ci.prepare.wheel_folder import name_of, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ci.agent.client import Agent
    from ci.prepare.index_proxy import Stream
    from ci.prepare.outbound import HostPort

    class Forwarding(Protocol):
        """A connection to another host that can forward ports."""

        def forward(self, take: Callable[[Stream], None]) -> int:
            """Forward a port of the host to this machine, and return that port."""

        def unforward(self, port: int) -> None:
            """Close the forwarded port."""


# Further allowed hosts, `name` or `name:port`, that serve packages.
MORE_HOSTS = "LAMPLIGHTER_INDEX_HOSTS"
# Hosts of PyPI's files, of uv's Pythons, and of PyTorch's builds for `--torch-backend`.
PUBLIC = (
    "pypi.org", "files.pythonhosted.org", "download.pytorch.org", "download-r2.pytorch.org",
    "pypi.nvidia.com", "github.com", "objects.githubusercontent.com",
    "release-assets.githubusercontent.com", "releases.astral.sh",
)  # fmt: skip
PASSED_ON = re.compile(
    r"UV_(DEFAULT_INDEX|INDEX|INDEX_.+|EXTRA_INDEX_URL|FIND_LINKS|INSECURE_HOST|"
    r"HTTP_TIMEOUT|PYTHON_INSTALL_MIRROR)"
)
URL = re.compile(r"https?://[^\s,'\"<>]+")


@dataclass(frozen=True)
class PackageSettings:
    """This controller's settings for getting packages.

    Attributes:
        env: variables for uv, as on this machine; a secret.
        folders: folders of wheels on this machine.
        authorities: content of the CA certificates file in these settings; else empty.
    """

    env: Mapping[str, str]
    folders: tuple[Path, ...]
    authorities: bytes

    def allowed(self, recipe: Mapping[str, object]) -> frozenset[HostPort]:
        """Return the hosts and ports that a recipe may connect to through this controller."""
        text = " ".join([*self.env.values(), json.dumps(recipe)])
        named = {_host_port(url) for url in URL.findall(text)}
        more = os.environ.get(MORE_HOSTS, "").split()
        named |= {_host_port(f"https://{host}") for host in more}
        return frozenset({*named, *((host, 443) for host in PUBLIC)})

    def links(self) -> dict[str, tuple[str, list[str]]]:
        """Return folder → the URL of its page, and the wheels of PyTorch in it."""
        return {
            str(folder): (url_of(folder), [wheel.name for wheel in folder.glob("torch-*.whl")])
            for folder in self.folders
        }


def local_settings() -> PackageSettings:
    """Read pip's and uv's settings on this machine, except indexes that are local folders."""
    env = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    env |= index_settings()
    authorities = env.pop("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", ""))
    paths = [path for path in env.get("UV_FIND_LINKS", "").split(",") if "://" not in path]
    folders = map(Path, paths)
    return PackageSettings(
        {name: value for name, value in env.items() if "file://" not in value},
        tuple(folder for folder in folders if folder.is_absolute() and folder.is_dir()),
        Path(authorities).read_bytes() if authorities and Path(authorities).is_file() else b"",
    )


def _host_port(url: str) -> HostPort:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port or PORTS[parts.scheme]
    except ValueError:
        return "", 0


@dataclass(frozen=True)
class PackageAccess:
    """A host's access to packages through this controller.

    Attributes:
        env: variables for the recipe, which uses the proxy if the host needs it; a secret. Empty
            for this machine itself, which has the settings already.
        authorities: CA certificates, to be written beside the recipe.
        refused: `host:port` of the requests refused so far.
        close: closes the forwarded port and the proxy.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    authorities: bytes = b""
    refused: Collection[str] = ()
    close: Callable[[], None] = lambda: None


@contextmanager
def package_access(
    agents: Mapping[str, Agent], recipes: Mapping[str, Mapping[str, object]]
) -> Iterator[dict[str, PackageAccess]]:
    """Give hosts access to packages while the context lasts.

    Args:
        agents: host → agent.
        recipes: host → recipe of what is made there; URLs in it are allowed.

    Raises:
        ConnectionLost, SeveralFailed: connections to hosts were lost.
    """
    settings = local_settings()
    outcomes = fan_out(agents, lambda host: _access(agents[host], settings, recipes[host]))
    opened = {
        host: access for host, access in outcomes.items() if isinstance(access, PackageAccess)
    }
    try:
        yield all_of(outcomes)
    finally:
        fan_out(opened, lambda host: opened[host].close())


def _access(agent: Agent, settings: PackageSettings, recipe: Mapping[str, object]) -> PackageAccess:
    if isinstance(agent.connection, LocalConnection):
        return PackageAccess()
    connection = cast("Forwarding", agent.connection)
    folders = {name_of(folder): folder for folder in settings.folders}
    proxy = IndexProxy(settings.allowed(recipe), folders)
    try:
        port = connection.forward(proxy.take)
    except ConnectionLost:
        raise
    except LamplighterError as error:
        return PackageAccess({**settings.env, NO_OFFER: str(error)})
    offer = {"proxy": proxy.url(port), "links": settings.links()}

    def close() -> None:
        connection.unforward(port)
        proxy.close()

    env = {**settings.env, OFFER: json.dumps(offer)}
    return PackageAccess(env, settings.authorities, proxy.refused, close)
