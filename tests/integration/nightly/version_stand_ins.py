"""Stand-ins for versions of vLLM: environments that serve and measure at given speeds."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from answered import answers
from captured_bench import CAPTURED

from ci.catalog.environments import InstallTarget, load_versions, serving
from ci.catalog.locks import lock_folders_of
from ci.paths import CONFIGS

if TYPE_CHECKING:
    from pathlib import Path

# In place of `vllm bench serve`: the captured result of 0.32.0, at the next of the given speeds.
VLLM = """\
#!{python}
import json, pathlib, sys
speeds = pathlib.Path({speeds!r})
first, *others = json.loads(speeds.read_text())
speeds.write_text(json.dumps(others or [first]))
result = json.loads(pathlib.Path({captured!r}).read_text())
tokens, prompts = result["total_output_tokens"], result["completed"]
result["duration"] = duration = tokens / first
result["output_throughput"], result["request_throughput"] = first, prompts / duration
result["total_token_throughput"] = (tokens + result["total_input_tokens"]) / duration
folder = pathlib.Path(sys.argv[sys.argv.index("--result-dir") + 1])
folder.mkdir(parents=True)
(folder / "result.json").write_text(json.dumps(result))
"""
SERVER = """\
#!/bin/sh
export STAND_IN_ANSWERS={answers} STAND_IN_VERSION={version}
exec {python} "$@"
"""


class Versions:
    """Environments of versions of vLLM that serve and measure at given speeds.

    They are stand-ins for what `inv nightly --vllm VERSION` makes.
    """

    def __init__(self, workspace: Path, folder: Path, *names: str) -> None:
        self._folder, self._workspace = folder, workspace
        here = InstallTarget("localhost", str(workspace), None, lock_folders_of(str(workspace)))
        replies = answers(folder / "answers.json", 0)
        for version in names:
            made = serving(load_versions(CONFIGS / "versions.yaml"), version, "cpu", here)
            self.bin(version).mkdir(parents=True)
            values = {"python": sys.executable, "captured": str(CAPTURED), "version": version}
            values |= {"speeds": str(self._speeds(version)), "answers": replies}
            for name, script in (("vllm", VLLM), ("python3", SERVER)):
                path = self.bin(version) / name
                path.write_text(script.format(**values), "utf-8")
                path.chmod(0o755)
            (self.bin(version) / "python").symlink_to(sys.executable)
            stamp = {"fingerprint": made.fingerprint, "packages": [], "locked": True}
            (self.bin(version).parent / ".lamplighter.json").write_text(json.dumps(stamp))

    def bin(self, version: str) -> Path:
        return self._workspace / "envs" / f"vllm-{version}" / "bin"

    def measures(self, version: str, *speeds: float) -> None:
        """Let the next measurements have these speeds, in token/s; the last one stays."""
        self._speeds(version).write_text(json.dumps(speeds))

    def _speeds(self, version: str) -> Path:
        return self._folder / f"speeds-{version}.json"
