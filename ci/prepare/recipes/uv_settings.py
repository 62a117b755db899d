"""Settings with which uv gets packages and a Python on a host.

Also runs on hosts: stdlib only, Python 3.8 and later. Reads pip's settings, and tests whether
package indexes can be reached.
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

# A controller's offer as JSON: `proxy`, a secret URL, and `links`: for each of its wheel folders
# the URL of its page and the wheels of PyTorch in it. Or the reason why there is no offer.
OFFER, NO_OFFER = "LAMPLIGHTER_PACKAGES", "LAMPLIGHTER_NO_PACKAGES"
# pip's variable for installing from folders only, and the values that pip and uv read as "no".
NO_INDEX, FALSE_VALUES = "PIP_NO_INDEX", ("", "0", "false", "f", "no", "n", "off")
# uv accepts a name before an index, `name=URL`, which pip does not.
INDEX_NAME = re.compile(r"^[^:=]*=")
# The controller's CA certificates, beside this file: its network may use its own authorities.
AUTHORITIES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "authorities.pem")
CONNECT_S = 2.0
_SILENT: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
PYPI = "https://pypi.org https://files.pythonhosted.org"
PORTS = {"http": 80, "https": 443}


class PackageSource(NamedTuple):
    """How uv gets packages.

    Attributes:
        env: variables for uv besides the present environment; may contain credentials.
        note: text for the operator, without credentials; may be empty.
        torch: the wheels of PyTorch in the controller's folders.
    """

    env: dict[str, str]
    note: str = ""
    torch: tuple[str, ...] = ()

    @property
    def options(self) -> list[str]:
        """Return settings that uv only has as options."""
        return ["--no-index"] if self.env.get(NO_INDEX) else []


def output_of(*argv: str) -> str:
    """Return the output of a command; empty if it failed or does not exist."""
    try:
        return subprocess.check_output(argv, stderr=subprocess.DEVNULL).decode().strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def runs(*argv: str) -> bool:
    """Return whether a command succeeds; a program of another architecture does not start."""
    try:
        return subprocess.run(argv, check=False, **_SILENT).returncode == 0
    except OSError:
        return False


def python_of(uv: str, version: str, folder: str) -> tuple[str, str]:
    """Find a Python for an environment.

    Args:
        uv: path of uv.
        version: the version, such as `3.11`.
        folder: folder of the Pythons that uv has downloaded for the workspace.

    Returns:
        The value of uv's `--python`: the version if uv finds it, else the path of a Python in
        `folder`, or of this Python. And advice if uv cannot download it; empty if a Python exists.
    """
    if output_of(uv, "python", "find", "--no-python-downloads", version):
        return version, ""
    downloaded = sorted(glob.glob(os.path.join(folder, "cpython-%s.*" % version, "bin", "python3")))
    suitable = [python for python in downloaded if runs(python, "--version")]
    if suitable:
        return suitable[-1], ""
    if "%d.%d" % sys.version_info[:2] == version:  # not on the PATH
        return sys.executable, ""
    advice = (
        "This host has no Python %s, and uv cannot download it. Put `python%s` on its PATH (with "
        "its package manager, pyenv or conda), or copy ~/.local/share/uv/python from a machine "
        "where `uv python install %s` works to %s, and run again."
        % (version, version, version, folder)
    )
    return version, advice


def means_yes(value: str) -> bool:
    """Return whether a switch of pip or uv is on; they refuse values other than yes and no."""
    return value.lower() not in FALSE_VALUES


def pip_settings() -> dict[str, str]:
    """Return the settings of this machine's pip for `pip install`: option → value."""
    command = ("config", "list")
    listed = output_of(sys.executable, "-m", "pip", *command) or output_of("pip3", *command)
    settings: dict[str, str] = {}
    for wanted in ("global", "install", ":env:"):  # a later section overrides earlier ones
        for line in listed.splitlines():
            key, _, value = line.partition("=")
            section, _, option = key.rpartition(".")
            if section == wanted:
                settings[option] = " ".join(ast.literal_eval(value).split())
    return settings


def index_settings() -> dict[str, str]:
    """Convert the settings of this machine's pip to variables for uv, which does not read them."""
    environ, pip = os.environ, pip_settings()
    env = {"UV_HTTP_TIMEOUT": environ.get("UV_HTTP_TIMEOUT", "180")}
    links = (
        environ.get("UV_FIND_LINKS") or environ.get("PIP_FIND_LINKS") or pip.get("find-links", "")
    )
    if links:
        env["UV_FIND_LINKS"] = ",".join(re.sub(r"file://|,", " ", links).split())
    index = environ.get("PIP_INDEX_URL") or pip.get("index-url")
    if index and not (environ.get("UV_DEFAULT_INDEX") or environ.get("UV_INDEX_URL")):
        env["UV_DEFAULT_INDEX"] = index
    extra = environ.get("PIP_EXTRA_INDEX_URL") or pip.get("extra-index-url", "")
    extra = " ".join(url for url in extra.split() if url.startswith("http"))
    if extra and not (environ.get("UV_INDEX") or environ.get("UV_EXTRA_INDEX_URL")):
        env["UV_INDEX"] = extra
        # As pip does: the best version of all indexes, not of the first that has the package.
        env["UV_INDEX_STRATEGY"] = environ.get("UV_INDEX_STRATEGY", "unsafe-best-match")
    authorities = environ.get("PIP_CERT") or pip.get("cert")
    if authorities and not environ.get("SSL_CERT_FILE"):
        env["SSL_CERT_FILE"] = authorities
    if means_yes(environ.get(NO_INDEX) or pip.get("no-index", "")):
        env[NO_INDEX] = "1"
    return env


def package_source() -> PackageSource:
    """Choose this host's own settings, or the controller's proxy if this host reaches no index.

    Removes the offer from the environment, so that processes started later do not get it.
    """
    offer: dict[str, Any] = json.loads(os.environ.pop(OFFER, "{}"))
    no_offer = os.environ.pop(NO_OFFER, "")
    env = index_settings()
    if not offer and not no_offer:
        return PackageSource(env)
    links, torch, has_pages = find_links(env.pop("UV_FIND_LINKS", ""), offer.get("links", {}))
    os.environ.pop("UV_FIND_LINKS", None)
    if links:
        env["UV_FIND_LINKS"] = ",".join(links)
    settings = {**os.environ, **env}
    unreachable = first_unreachable(index_hosts(settings))
    if not offer:
        note = "cannot connect to %s, and %s" % (unreachable, no_offer)
        return PackageSource(env, note if unreachable else "")
    if not unreachable and not has_pages:
        return PackageSource(env)
    note = "wheels come from the controller's own folders"
    if unreachable:
        note = "cannot connect to %s: packages come through the controller" % unreachable
    proxied = {**env, **proxy_settings(offer["proxy"], unreachable, settings)}
    return PackageSource(proxied, note, torch)


def holds_torch(source: PackageSource, backend: str) -> bool:
    """Return whether a folder of wheels has PyTorch's own build for a backend."""
    names = list(source.torch)
    for folder in filter(os.path.isdir, source.env.get("UV_FIND_LINKS", "").split(",")):
        names += os.listdir(folder)
    return any(name.startswith("torch-") and "+" + backend in name for name in names)


def find_links(setting: str, pages: dict[str, Any]) -> tuple[list[str], tuple[str, ...], bool]:
    """Replace each folder that is not on this host by the controller's page of it.

    Returns:
        The links for uv, the wheels of PyTorch on these pages, and whether there are any pages.
    """
    links, torch, has_pages = [], [], False
    for link in setting.split(","):
        if "://" in link or os.path.isdir(link):
            links.append(link)
        elif link in pages:
            url, names = pages[link]
            links.append(url)
            torch += names
            has_pages = True
    return links, tuple(torch), has_pages


def proxy_settings(proxy: str, unreachable: str, settings: dict[str, str]) -> dict[str, str]:
    """Return proxy variables: for all, or only for the controller's pages, which use plain http."""
    names = ["http_proxy", "HTTP_PROXY"]
    names += ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] if unreachable else []
    direct = "" if unreachable else ",".join(host for host, _ in index_hosts(settings))
    env = dict.fromkeys(names, proxy)
    if unreachable and os.path.exists(AUTHORITIES):
        env["SSL_CERT_FILE"] = env["PIP_CERT"] = AUTHORITIES
    env.update(no_proxy=direct, NO_PROXY=direct)
    env["UV_CONCURRENT_DOWNLOADS"] = settings.get("UV_CONCURRENT_DOWNLOADS", "8")
    return env


def index_hosts(settings: dict[str, str]) -> list[tuple[str, int]]:
    """Return host and port of the indexes that uv will use; empty if it uses a proxy or none."""
    proxied = any(settings.get(name) for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"))
    if proxied or any(means_yes(settings.get(name, "")) for name in ("UV_OFFLINE", NO_INDEX)):
        return []
    main = settings.get("UV_DEFAULT_INDEX") or settings.get("UV_INDEX_URL") or PYPI
    text = " ".join([main, settings.get("UV_INDEX", ""), settings.get("UV_EXTRA_INDEX_URL", "")])
    hosts = []
    for url in re.findall(r"https?://\S+", text):
        try:
            part = urlsplit(url)
            hosts.append((part.hostname or "", part.port or PORTS[part.scheme]))
        except ValueError:  # uv reports the error
            continue
    return hosts


def first_unreachable(hosts: list[tuple[str, int]]) -> str:
    """Return the first `host:port` that cannot be connected to in CONNECT_S; empty if none."""
    reached: list[tuple[str, int]] = []

    def connect(host: tuple[str, int]) -> None:
        try:
            socket.create_connection(host, CONNECT_S).close()
        except OSError:
            return
        reached.append(host)

    # In threads: an unreachable name server blocks its callers longer than any timeout.
    threads = [threading.Thread(target=connect, args=(host,), daemon=True) for host in hosts]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + CONNECT_S
    for thread in threads:
        thread.join(max(0.0, deadline - time.monotonic()))
    return next(("%s:%d" % host for host in hosts if host not in reached), "")
