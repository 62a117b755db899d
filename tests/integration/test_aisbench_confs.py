"""configs/aisbench.yaml is what the installed AISBench has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.check import aisbench_confs

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_list_of_aisbenchs_names_is_current(tool_bin: Callable[[str], str]) -> None:
    environment = Path(tool_bin("aisbench")).parent
    assert aisbench_confs.installed(environment) == aisbench_confs.known()
    assert aisbench_confs.text_of(aisbench_confs.known()) == aisbench_confs.FILE.read_text("utf-8")
