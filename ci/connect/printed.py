"""Clean text that hosts print: no terminal escapes, no control characters. Pure."""

from __future__ import annotations

import re

# Colours and cursor movements (CSI), titles and links (OSC, to BEL or ST), two-character escapes.
ESCAPES = re.compile(r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)?|\x1b[ -/]*[0-~]")
# C0 except tab and newline, DEL, C1, lone surrogates, bidirectional overrides, and the two
# code points that XML forbids.
CONTROLS = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069\ufffe\uffff]"
)
# Characters that no one sees, and with which a text can hide another. They stay where a model may
# have written them, as scripts and emoji need some of them.
INVISIBLE = re.compile("[\u200b-\u200f\u2060-\u2064\u00ad\ufeff\U000e0000-\U000e007f]")
# Also after a line end that only some programs take for one.
_COMMAND_LINE = re.compile(r"(?:(?<=[\r\n\v\f\x85\u2028\u2029])|^)[^\S\n]*::", re.MULTILINE)
MAX_QUOTED_CHARS = 200


def clean(text: str) -> str:
    """Remove terminal escapes and control characters; tabs and newlines stay."""
    return CONTROLS.sub("", ESCAPES.sub("", text))


def one_line(text: str) -> str:
    """Put a text on one clean line. Of a progress bar, only the last state stays."""
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return " ".join(clean(" ".join(lines)).split())


def without_workflow_commands(text: str) -> str:
    """Change a text so that the runner of a GitHub workflow obeys nothing in it.

    It obeys lines that begin with `::`, and `##[…]` anywhere in a line.
    """
    if "::" not in text and "##[" not in text:
        return text
    return _COMMAND_LINE.sub("\u00b7 ::", text.replace("##[", "# #["))


def quoted(printed: bytes | str) -> str:
    """Quote the end of a host's output on one clean line; empty if there is none."""
    text = printed if isinstance(printed, str) else printed.decode(errors="replace")
    line = " ".join(clean(text).split())
    line = line if len(line) <= MAX_QUOTED_CHARS else f"…{line[-MAX_QUOTED_CHARS:]}"
    return f'"{line}"' if line else ""
