"""Text that hosts print, as a person may see it: without what moves a terminal's cursor. Pure."""

from __future__ import annotations

import re

# Colours and cursor movements (CSI), titles and links (OSC, to BEL or ST), two-character escapes.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")
# C0 but tab and newline, DEL, C1, lone surrogates, bidirectional overrides, and the two
# code points that XML forbids.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
MOST_QUOTED = 200


def clean(text: str) -> str:
    """Take terminal escapes and control characters out; tabs and newlines stay."""
    return CONTROLS.sub("", ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """Bring a text onto one clean line. Of a progress bar, only its last state stays."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return " ".join(clean(" ".join(lines)).split())


def quoted(printed: bytes | str) -> str:
    """Quote the end of what a host printed, on one clean line; empty where it printed nothing."""
    text = printed if isinstance(printed, str) else printed.decode(errors="replace")
    line = " ".join(clean(text).split())
    line = line if len(line) <= MOST_QUOTED else f"…{line[-MOST_QUOTED:]}"
    return f'"{line}"' if line else ""
