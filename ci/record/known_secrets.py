"""Hide secrets that are known, in every text and form: whole, cut, quoted, encoded. Pure."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Mapping
from typing import TYPE_CHECKING
from urllib.parse import quote, quote_plus, unquote

from ci.connect.printed import CONTROLS, ESCAPES, INVISIBLE
from ci.record.secrets import HIDDEN, Hiding, hide_in_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# A shorter value (`1`, `true`) is still hidden under its name, but replacing it in every other text
# would make reports unreadable.
MIN_SECRET_CHARS = 8
# Values that are also words of the record itself.
_RECORD_WORDS = ("accuracy", "performance", "last-good", "against-itself")
_BASE64_BYTES = 3
# What may part a secret so that a reader still sees it whole.
_GAPS = re.compile(rf"(?:{ESCAPES.pattern}|{CONTROLS.pattern}|{INVISIBLE.pattern}|[\r\n]+[ \t]*)+")


def secrets_of(env: Mapping[str, str]) -> frozenset[str]:
    """Return the secrets of an environment that can be searched for in other texts."""
    hiding = Hiding()
    hiding.env(env)
    return _searchable(hiding.found)


def secrets_within(tree: object) -> frozenset[str]:
    """Return the secrets in every environment, file and command line anywhere in plain JSON."""
    hiding = Hiding()
    _collect(tree, hiding)
    return _searchable(hiding.found)


def _collect(tree: object, hiding: Hiding) -> None:
    if isinstance(tree, Mapping):
        for key, value in tree.items():
            if key == "env" and isinstance(value, Mapping):
                hiding.env(value)
            elif key == "files" and isinstance(value, Mapping):
                for path, content in value.items():
                    hiding.file(str(path), str(content))
            else:
                _collect(value, hiding)
    elif isinstance(tree, list):
        hiding.argv(tree)
        for value in tree:
            if not isinstance(value, str):
                _collect(value, hiding)
    elif isinstance(tree, str):
        hiding.word(tree)


def _searchable(values: set[str]) -> frozenset[str]:
    """Keep values that are long enough and no words of the record; add their other forms."""
    parts = {line.strip() for value in values for line in value.splitlines()}
    # Of `a=b; session=…` or `key1,key2`: those with a digit, as others may be words.
    parts |= {
        part for value in values for part in re.split(r"[\s,;&=]+", value) if re.search(r"\d", part)
    }
    long = [each for each in values | parts if len(each) >= MIN_SECRET_CHARS]
    return frozenset(
        form
        for secret in long
        if not any(secret in word for word in _RECORD_WORDS)
        for form in _forms(secret)
        if len(form) >= MIN_SECRET_CHARS
    )


def _forms(secret: str) -> Iterator[str]:
    """Yield a secret as it is, in one case, and as URLs, JSON, Python and base64 write it."""
    yield from (secret, quote(secret, safe=""), quote(secret), quote_plus(secret), unquote(secret))
    yield from (json.dumps(secret)[1:-1], repr(secret)[1:-1], secret.upper(), secret.lower())
    data = secret.encode(errors="surrogateescape")
    for before in range(_BASE64_BYTES):  # its place in `user:secret` decides how it is encoded
        whole = (before + len(data)) * 8 // 6
        encoded = b64encode(bytes(before) + data).decode()[(before * 8 + 5) // 6 : whole]
        yield from (encoded, encoded.replace("+", "-").replace("/", "_"))


def secrets_in_file(path: str, content: str) -> frozenset[str]:
    """Return the secrets of a file, e.g. a case, that can be searched for in other texts."""
    hiding = Hiding()
    hiding.file(path, content)
    return _searchable(hiding.found)


def hide_known(text: str, secrets: frozenset[str]) -> str:
    """Hide known secrets in a text.

    Also one that was cut at the text's beginning or end, and one that is parted by what no reader
    sees, or by the end of a line.
    """
    if secrets and (gaps := [*_GAPS.finditer(text)]):
        text = _hide_parted(text, gaps, secrets)
    # The longest first, as a secret may be a part of another.
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
        text = _hide_cut(text, secret)
    return text


def hide_in_log(text: str, secrets: frozenset[str]) -> str:
    """Hide secrets in a log, known ones and those that look so; colours stay elsewhere."""
    text = hide_known(hide_in_text(text), secrets)
    if "\x1b" not in text:
        return text
    return "".join(_without_parted(line) for line in text.splitlines(keepends=True))


def _without_parted(line: str) -> str:
    """Return a line; without its colours if one of them parts what looks like a secret."""
    bare = ESCAPES.sub("", line)
    hidden = hide_in_text(bare)
    return line if hidden == bare else hidden


def _hide_parted(text: str, gaps: Sequence[re.Match[str]], secrets: frozenset[str]) -> str:
    """Hide secrets that are whole only without the gaps."""
    bare = _GAPS.sub("", text)
    spans = [
        (match.start(), match.end())
        for secret in secrets
        if bare.count(secret) > text.count(secret)
        for match in re.finditer(re.escape(secret), bare)
    ]
    if not spans:
        return text
    # Where each character of the bare text stands in the text.
    kept, end = list[int](), 0
    for gap in gaps:
        kept += range(end, gap.start())
        end = gap.end()
    kept += range(end, len(text))
    shown, end = list[str](), 0
    for first, after in _joined(spans):
        shown += [text[end : kept[first]], HIDDEN]
        end = kept[after - 1] + 1
    return "".join([*shown, text[end:]])


def _joined(spans: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Yield spans in order, those that overlap as one."""
    begin, end = -1, -1
    for first, after in sorted(spans):
        if first > end:
            if end > 0:
                yield begin, end
            begin = first
        end = max(end, after)
    yield begin, end


def _hide_cut(text: str, secret: str) -> str:
    """Hide the part of a secret that is left where somebody cut the text."""
    ended = text.rstrip("… '\"")
    lengths = range(min(len(secret) - 1, len(text)), MIN_SECRET_CHARS - 1, -1)
    begins, ends = secret[:MIN_SECRET_CHARS] in text, secret[-MIN_SECRET_CHARS:] in text
    for length in lengths if begins or ends else ():
        if begins and ended.endswith(secret[:length]):
            return ended[:-length] + HIDDEN + text[len(ended) :]
        if ends and text.startswith(secret[-length:]):
            return HIDDEN + text[length:]
    return text
