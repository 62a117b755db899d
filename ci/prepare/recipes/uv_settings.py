"""How uv gets packages and a Python on a host. Runs there too: stdlib only, Python 3.8 and later.

Asks pip for its settings, and tries whether package indexes can be connected to.
"""

from __future__ import annotations

import ast
import glob
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from typing import Any, NamedTuple
from urllib.parse import urlsplit

# What a controller offers, as JSON: `proxy`, a URL that is a secret, and `links`: for each of its
# folders of wheels where that is offered, and which builds of PyTorch are in it. Or why it cannot.
WAY, NO_WAY = "LAMPLIGHTER_WAY", "LAMPLIGHTER_NO_WAY"
# pip's own variable: it installs from folders alone. These values of it, and of uv's, say no.
NO_INDEX, MEANS_NO = "PIP_NO_INDEX", ("", "0", "false", "f", "no", "n", "off")
# uv lets an index have a name, `name=URL`, which pip does not know.
INDEX_NAME = re.compile(r"^[^:=]*=")
# The controller's certificate authorities, beside this file: what it trusts may be behind its own.
AUTHORITIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "authorities.pem")
CONNECT_S = 2.0
PYPI = "https://pypi.org https://files.pythonhosted.org"
PORTS = {"http": 80, "https": 443}


class Way(NamedTuple):
    """How uv gets packages.

    Attributes:
        env: what uv is told besides the environment that is there; may hold credentials.
        said: in words, without credentials; empty where there is nothing to say.
        torch: the wheels of PyTorch in folders that are not on this host.
    """

    env: dict[str, str]
    said: str = ""
    torch: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """What uv knows only as an option."""
        return ["--no-index"] if self.env.get(NO_INDEX) else []


def answer_of(*argv: str) -> str:
    """What a command prints; empty when it failed or does not exist."""
    try:
        return subprocess.check_output(argv, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def python_of(uv: str, version: str, folder: str) -> tuple[str, str]:
    """Find the Python that the environment is made with.

    Args:
        uv: the program.
        version: as `3.11`.
        folder: where a Python lies that uv has fetched for the workspace.

    Returns:
        What uv is told: the version where uv finds one, else the Python of that version in
        `folder`, or this one. And what to do if uv cannot fetch it; empty where it is here.
    """
    if answer_of(uv, "python", "find", "--no-python-downloads", version):
        return version, ""
    fetched = sorted(glob.glob(os.path.join(folder, "cpython-%s.*" % version, "bin", "python3")))
    if fetched:
        return fetched[-1], ""
    if "%d.%d" % sys.version_info[:2] == version:  # not on the PATH
        return sys.executable, ""
    advice = (
        "This host has no Python %s, and uv cannot fetch one. Put `python%s` on its PATH (with its "
        "package manager, pyenv or conda), or copy ~/.local/share/uv/python of a machine where "
        "`uv python install %s` works to %s, and run again." % (version, version, version, folder)
    )
    return version, advice


def means_yes(value: str) -> bool:
    """Read a switch of pip's or uv's: they refuse any value but their words for yes and no."""
    return value.lower() not in MEANS_NO


def pip_settings() -> dict[str, str]:
    """What this machine's pip is told for installing, by option."""
    ask = ("config", "list")
    listed = answer_of(sys.executable, "-m", "pip", *ask) or answer_of("pip3", *ask)
    settings: dict[str, str] = {}
    for wanted in ("global", "install", ":env:"):  # each goes before those in front of it
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            section, _, option = key.rpartition(".")
            if section == wanted:
                settings[option] = " ".join(ast.literal_eval(value).split())
    return settings


def index_settings() -> dict[str, str]:
    """Hand uv what this machine's pip is told: uv does not read pip's settings."""
    told, pip = os.environ, pip_settings()
    env = {"UV_HTTP_TIMEOUT": told.get("UV_HTTP_TIMEOUT", "180")}
    links = told.get("UV_FIND_LINKS") or told.get("PIP_FIND_LINKS") or pip.get("find-links", "")
    if links:
        env["UV_FIND_LINKS"] = ",".join(re.sub(r"file://|,", " ", links).split())
    index = told.get("PIP_INDEX_URL") or pip.get("index-url")
    if index and not (told.get("UV_DEFAULT_INDEX") or told.get("UV_INDEX_URL")):
        env["UV_DEFAULT_INDEX"] = index
    more = told.get("PIP_EXTRA_INDEX_URL") or pip.get("extra-index-url", "")
    more = " ".join(url for url in more.split() if url.startswith("http"))
    if more and not (told.get("UV_INDEX") or told.get("UV_EXTRA_INDEX_URL")):
        env["UV_INDEX"] = more
        # As pip has it: the best of all indexes, not the first index that knows the name.
        env["UV_INDEX_STRATEGY"] = told.get("UV_INDEX_STRATEGY", "unsafe-best-match")
    authorities = told.get("PIP_CERT") or pip.get("cert")
    if authorities and not told.get("SSL_CERT_FILE"):
        env["SSL_CERT_FILE"] = authorities
    if means_yes(told.get(NO_INDEX) or pip.get("no-index", "")):
        env[NO_INDEX] = "1"
    return env


def way_to_packages() -> Way:
    """Settle it: this host's own way, or the controller's where this host has none.

    Takes the offer out of the environment: what is started later shall not know of it.
    """
    offer: dict[str, Any] = json.loads(os.environ.pop(WAY, "{}"))
    why_none = os.environ.pop(NO_WAY, "")
    env = index_settings()
    if not offer and not why_none:
        return Way(env)
    links, torch, brought = find_links(env.pop("UV_FIND_LINKS", ""), offer.get("links", {}))
    os.environ.pop("UV_FIND_LINKS", None)
    if links:
        env["UV_FIND_LINKS"] = ",".join(links)
    told = {**os.environ, **env}
    cut_off = unreached(index_hosts(told))
    if not offer:
        said = "%s cannot be connected to from this host, and %s" % (cut_off, why_none)
        return Way(env, said if cut_off else "")
    if not cut_off and not brought:
        return Way(env)
    said = "wheels come from the controller's own folders"
    if cut_off:
        said = "%s cannot be connected to: packages come through the controller" % cut_off
    return Way({**env, **through(offer["proxy"], cut_off, told)}, said, torch)


def holds_torch(way: Way, backend: str) -> bool:
    """Tell whether one of the folders of wheels holds PyTorch's own build for this backend."""
    names = list(way.torch)
    for folder in filter(os.path.isdir, way.env.get("UV_FIND_LINKS", "").split(",")):
        names += os.listdir(folder)
    return any(name.startswith("torch-") and "+" + backend in name for name in names)


def find_links(told: str, offered: dict[str, Any]) -> tuple[list[str], tuple[str, ...], bool]:
    """Put the controller's page in the place of each folder that is not on this host.

    Returns:
        What uv is told, the builds of PyTorch on those pages, and whether there are any pages.
    """
    links, torch, brought = [], [], False
    for one in told.split(","):
        if "://" in one or os.path.isdir(one):
            links.append(one)
        elif one in offered:
            url, names = offered[one]
            links.append(url)
            torch += names
            brought = True
    return links, tuple(torch), brought


def through(proxy: str, cut_off: str, told: dict[str, str]) -> dict[str, str]:
    """Set the proxy: for all, or only for the controller's folders, whose pages are plain http."""
    names = ["http_proxy", "HTTP_PROXY"]
    names += ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] if cut_off else []
    direct = "" if cut_off else ",".join(host for host, _ in index_hosts(told))
    env = dict.fromkeys(names, proxy)
    if cut_off and os.path.exists(AUTHORITIES):
        env["SSL_CERT_FILE"] = env["PIP_CERT"] = AUTHORITIES
    env.update(no_proxy=direct, NO_PROXY=direct)
    env["UV_CONCURRENT_DOWNLOADS"] = told.get("UV_CONCURRENT_DOWNLOADS", "8")
    return env


def index_hosts(told: dict[str, str]) -> list[tuple[str, int]]:
    """The hosts and ports of the indexes that uv will ask; none where it has a proxy already."""
    proxied = any(told.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"))
    if proxied or any(means_yes(told.get(name, "")) for name in ("UV_OFFLINE", NO_INDEX)):
        return []
    main = told.get("UV_DEFAULT_INDEX") or told.get("UV_INDEX_URL") or PYPI
    text = " ".join([main, told.get("UV_INDEX", ""), told.get("UV_EXTRA_INDEX_URL", "")])
    found = []
    for url in re.findall(r"https?://\S+", text):
        try:
            part = urlsplit(url)
            found.append((part.hostname or "", part.port or PORTS[part.scheme]))
        except ValueError:  # uv says what is wrong with it
            continue
    return found


def unreached(hosts: list[tuple[str, int]]) -> str:
    """Name the first of the hosts that nothing here can connect to within moments."""
    reached: list[tuple[str, int]] = []

    def connect(host: tuple[str, int]) -> None:
        try:
            socket.create_connection(host, CONNECT_S).close()
        except OSError:
            return
        reached.append(host)

    # In threads: a name server that is out of reach keeps its callers longer than any timeout.
    calls = [threading.Thread(target=connect, args=(host,), daemon=True) for host in hosts]
    for call in calls:
        call.start()
    deadline = time.monotonic() + CONNECT_S
    for call in calls:
        call.join(max(0.0, deadline - time.monotonic()))
    return next(("%s:%d" % host for host in hosts if host not in reached), "")
