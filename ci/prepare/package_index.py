"""How hosts get packages: as this controller is told, through it where a host has no way itself.

What a host is told may hold credentials: it travels as the environment of a process, on stdin.
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
from ci.prepare.outward import PORTS
from ci.prepare.recipes.uv_settings import NO_WAY, WAY, index_settings
from ci.prepare.wheel_folder import name_of, url_of

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from ci.agent.client import Agent
    from ci.prepare.index_proxy import Stream
    from ci.prepare.outward import Where

    class Forwarding(Protocol):
        """What a connection to another host offers."""

        def forward(self, take: Callable[[Stream], None]) -> int:
            """Let what runs there connect to us; gives the port."""

        def unforward(self, port: int) -> None:
            """Let nothing connect through it any more."""


# Further hosts, `name` or `name:port`, that hosts may reach through this machine for packages.
MORE_HOSTS = "LAMPLIGHTER_INDEX_HOSTS"
# Where PyPI keeps its files, uv gets Pythons, and `--torch-backend` PyTorch's own builds.
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
class Packages:
    """Where this controller gets packages from.

    Attributes:
        env: for uv, as on this machine; a secret.
        folders: of wheels on this machine.
        authorities: certificates that are trusted here, where that is told; else empty.
    """

    env: Mapping[str, str]
    folders: tuple[Path, ...]
    authorities: bytes

    def allowed(self, recipe: Mapping[str, object]) -> frozenset[Where]:
        """The hosts and ports that making something may ask for."""
        text = " ".join([*self.env.values(), json.dumps(recipe)])
        named = {_where(url) for url in URL.findall(text)}
        named |= {_where(f"https://{one}") for one in os.environ.get(MORE_HOSTS, "").split()}
        return frozenset({*named, *((host, 443) for host in PUBLIC)})

    def links(self) -> dict[str, tuple[str, list[str]]]:
        """For each folder: where it is offered, and which of PyTorch's builds are in it."""
        return {
            str(folder): (url_of(folder), [one.name for one in folder.glob("torch-*.whl")])
            for folder in self.folders
        }


def packages_here() -> Packages:
    """As pip and uv are told on this machine; an index that is a folder of it stays here."""
    told = {name: value for name, value in os.environ.items() if PASSED_ON.fullmatch(name)}
    env = {**told, **index_settings()}
    authorities = env.pop("SSL_CERT_FILE", os.environ.get("SSL_CERT_FILE", ""))
    links = [Path(one) for one in env.get("UV_FIND_LINKS", "").split(",") if "://" not in one]
    return Packages(
        {name: value for name, value in env.items() if "file://" not in value},
        tuple(one for one in links if one.is_absolute() and one.is_dir()),
        Path(authorities).read_bytes() if authorities and Path(authorities).is_file() else b"",
    )


def _where(url: str) -> Where:
    try:
        parts = urlsplit(url)
        return (parts.hostname or "").lower(), parts.port or PORTS[parts.scheme]
    except ValueError:
        return "", 0


@dataclass(frozen=True)
class Offer:
    """What one host is offered.

    Attributes:
        env: for the recipe there, which takes the way if it needs it; a secret. Empty for this
            machine itself, whose settings are there already.
        authorities: certificates that the recipe finds beside it.
        refused: hosts and ports that were asked for in vain, as far as known by now.
        close: ends the way.
    """

    env: Mapping[str, str] = field(default_factory=dict)
    authorities: bytes = b""
    refused: Collection[str] = ()
    close: Callable[[], None] = lambda: None


@contextmanager
def offered(
    agents: Mapping[str, Agent], recipes: Mapping[str, Mapping[str, object]]
) -> Iterator[dict[str, Offer]]:
    """Offer hosts a way to packages for as long as the context lasts.

    Args:
        agents: host → agent.
        recipes: host → what is made there; hosts that it names may be asked.

    Raises:
        ConnectionLost, SeveralFailed: hosts went away.
    """
    packages = packages_here()
    outcomes = fan_out(agents, lambda host: _offer(agents[host], packages, recipes[host]))
    made = {host: one for host, one in outcomes.items() if isinstance(one, Offer)}
    try:
        yield all_of(outcomes)
    finally:
        fan_out(made, lambda host: made[host].close())


def _offer(agent: Agent, packages: Packages, recipe: Mapping[str, object]) -> Offer:
    if isinstance(agent.connection, LocalConnection):
        return Offer()
    way = cast("Forwarding", agent.connection)
    folders = {name_of(folder): folder for folder in packages.folders}
    proxy = IndexProxy(packages.allowed(recipe), folders)
    try:
        port = way.forward(proxy.take)
    except ConnectionLost:
        raise
    except LamplighterError as error:
        return Offer({**packages.env, NO_WAY: str(error)})
    told = {"proxy": proxy.url(port), "links": packages.links()}

    def close() -> None:
        way.unforward(port)
        proxy.close()

    env = {**packages.env, WAY: json.dumps(told)}
    return Offer(env, packages.authorities, proxy.refused, close)
