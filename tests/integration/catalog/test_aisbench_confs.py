"""configs/aisbench.yaml is what the installed AISBench has."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ci.catalog import aisbench

if TYPE_CHECKING:
    from collections.abc import Callable


def test_the_list_of_aisbenchs_names_is_current(tool_bin: Callable[[str], str]) -> None:
    environment = Path(tool_bin("aisbench")).parent
    assert aisbench.installed(environment) == aisbench.known()
    assert aisbench.text_of(aisbench.known()) == aisbench.FILE.read_text("utf-8")
