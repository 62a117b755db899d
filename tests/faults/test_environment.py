"""Faults of a host's environment: proxies that lead nowhere, environment scripts that fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from night import LIGHT_SERVER
from stage import PORT

from ci.lab import faults, inside

if TYPE_CHECKING:
    from stage import Stage

PROXY_PORT = 3128
SCRIPT = "/root/set_env.sh"


def write(stage: Stage, host: str, path: str, text: str) -> None:
    inside.run_in(stage.lab, host, ["sh", "-c", 'cat > "$0"', path], stdin=text)


def test_proxies_that_lead_nowhere(stage: Stage):
    """The head has them from its shell's own file, and from an environment script."""
    hole = f"http://{stage.lab.host(stage.worker).address}:{PROXY_PORT}"
    faults.filter_port(stage.lab, stage.worker, PROXY_PORT)
    write(stage, stage.head, "/root/.bashrc", f"export http_proxy={hole} ALL_PROXY={hole}\n")
    text = f"echo noise; export HTTP_PROXY={hole} https_proxy={hole} no_proxy=a,b\nf() {{ :; }}\n"
    write(stage, stage.head, SCRIPT, f"{text}export -f f; export ARGUMENT=$1\n")
    write(stage, stage.worker, SCRIPT, "")
    stage.excuse()
    front = f"python3 {LIGHT_SERVER} {PORT + 1} front --port {PORT + 1}"
    command = f"{front} --to http://$NODE_0_IP:{PORT}"
    router = {"kind": "command", "command": command, "port": PORT + 1}
    case = stage.case(measured=True, deadline_s=300, env_script=f"{SCRIPT} --force", router=router)
    night = stage.night(case)
    assert night.code == 0
    stage.await_nothing_left()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("echo no driver here\nreturn 3\n", ("failed with exit code 3", "no driver here")),
        ("exit 0\n", ("ends the shell",)),
    ],
    ids=["fails", "exits"],
)
def test_env_script(stage: Stage, text: str, words: tuple[str, ...]):
    write(stage, stage.head, SCRIPT, text)
    write(stage, stage.worker, SCRIPT, "")
    stage.excuse()
    night = stage.night(stage.case(env_script=SCRIPT))
    night.assert_unknown(f"{stage.head}: ", SCRIPT, *words, "env_script")
    stage.await_nothing_left()


def test_env_script_is_missing(stage: Stage):
    night = stage.night(stage.case(env_script=SCRIPT))
    assert night.code == 3
    assert f"{SCRIPT} does not exist" in night.output
    stage.await_nothing_left()
