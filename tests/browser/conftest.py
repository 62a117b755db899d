"""Tests of pages in a real browser; `nox -s browser` installs what they need of Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# Of one script in all its themes and sizes, on a machine that does much else.
LIMIT_S = 600


def missing():
    """Return why pages cannot be opened here; empty if they can."""
    if not shutil.which("node"):
        return "node is missing: install Node.js 20 or later"
    if not (HERE / "node_modules" / "playwright-core").is_dir():
        return "playwright-core is missing: run `nox -s browser`, or `npm ci` in tests/browser"
    if not any(map(shutil.which, CHROMIUM)):
        return f"no browser: install one of {', '.join(CHROMIUM)}, e.g. Debian's package chromium"
    return ""


@pytest.fixture(scope="session")
def browse():
    """A function that runs a script of this folder with a page and returns what it found."""
    if reason := missing():
        pytest.skip(reason)
    chromium = next(filter(None, map(shutil.which, CHROMIUM)))

    def run(script, url, folder):
        ended = subprocess.run(
            ["node", str(HERE / script), url, str(folder)],
            env={**os.environ, "CHROMIUM": chromium},
            capture_output=True,
            text=True,
            timeout=LIMIT_S,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    return run
