"""Show an outcome by a word, a symbol and a colour, so that none stands alone. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# Symbols that the usual fonts of desktops and phones have.
SYMBOLS: Mapping[str, str] = {
    "pass": "✓",
    "fail": "✕",
    "unknown": "?",
    "running": "…",
    "skipped": "–",
    "known": "≈",
    "muted": "◌",
    "quarantined": "⊘",
    "unstable": "~",
}
WORDS: Mapping[str, str] = {each: each for each in SYMBOLS}
# Outcomes with the colours of another; `quiet` is that of everything else.
_TONES: Mapping[str, str] = {
    "pass": "pass",
    "fail": "fail",
    "unknown": "unknown",
    "unstable": "unknown",
    "running": "running",
}


def tone_of(outcome: str) -> str:
    """Return the colour of an outcome: pass, fail, unknown, running or quiet; never other text."""
    return _TONES.get(outcome, "quiet")
