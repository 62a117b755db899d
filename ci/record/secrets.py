"""Find secrets by the names they stand under, and hide them in texts. Pure.

A value is secret if the name of its variable, flag, header or key looks so, or if it is the
password of a URL, a private key, or a token of a well-known form. Texts such as foreign logs are
searched for the same forms.
"""

from __future__ import annotations

import json
import re
import string
from collections.abc import Mapping
from typing import Any

from ci.record.secret_names import STEMS, looks_secret

HIDDEN = "***"
_MAX_NAME_CHARS = 64
_NAME_CHARS = frozenset(f"{string.ascii_letters}{string.digits}_.-")

# What stays before a secret, and the secret, after literals that the text has in lower case: logs
# are searched at 26 MB/s, and without them, or ignoring the case, at 1 MB/s. The password of a URL
# may have `@` and `/`, but a number before a `/` is a port.
_FORMS = tuple(
    (needles, re.compile(pattern, re.DOTALL))
    for needles, pattern in (
        (("-----begin ",), r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY[A-Z ]*-----)(.+?)(?=-----END|\Z)"),
        (("@",), r"(://[^/\s:@'\"]*:)((?!\d{1,5}/)(?:(?!://)[^\s'\"])+)(?=@)"),
        (("@",), r"(https?://)([^/\s:@'\"]{8,})(?=@)"),
        (("bearer ", "basic "), r"(\b(?i:bearer|basic) +)([A-Za-z0-9._~+/=-]{8,})"),
        (("hf_",), r"(\b)(hf_[A-Za-z0-9]{16,})"),
        (("sk-", "glpat-", "xox"), r"(\b)((?:sk|glpat|xox[abp])-[\w-]{16,})"),
        (("gho_", "ghp_", "ghs_", "ghu_", "github_pat_"), r"(\b)((?:gh[opsu]|github_pat)_\w{20,})"),
        (("eyj",), r"(\b)(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)"),
    )
)
# `user:password@host:port` as a whole word.
_USER = re.compile(r"([^\s:@/'\"=]+:)([^\s@'\"/]+)(@[\w.-]+(?::\d+)?)")
_HEADER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)\s*:(?!//)\s*(?=\S)")

# The rest of a name that may be secret, from a word that `looks_secret` knows.
_REST = rf"(?P<rest>(?:{'|'.join(STEMS)})[\w.-]{{0,{_MAX_NAME_CHARS}}})"
_HEADERS = "x-[a-z0-9-]{1,64}|(?:proxy-)?authorization|(?:set-)?cookie"
_HEADER_ENDS = "x-[a-z0-9-]{1,64}|authorization|cookie"
_STRING = r"""(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])*)"""
_BARE = r"""(?P<bare>[^\s"',;&}\])\[{*][^\s"',;&}\])]*)"""
_LIST = r"(?P<list>\[[^\]]*)"
# What comes between a name and its value, and the forms of the value.
_PAIRS = {
    kind: (re.compile(before), re.compile(value, re.DOTALL))
    for kind, before, value in (
        (
            "header",
            rf"(?P<rest>{_HEADER_ENDS})\s*:\s*(?:(?:bearer|basic|digest) +)?",
            r"(?P<bare>[^\s'\"*\[{][^\r\n'\"]*)",
        ),
        ("flag", rf"{_REST}\s+(?!-)", rf"{_STRING}|(?P<bare>[^\s'\"*\[][^\s'\"]*)"),
        (
            "named",
            rf"""{_REST}["']?(?:\s*=\s*|\s*:\s*(?=[\["']))""",
            f"{_LIST}|{_STRING}|{_BARE}",
        ),
        # A bare `name: value` is a sentence, but not in data.
        ("data", rf"""{_REST}["']?\s*:[^\S\n]+""", f"{_STRING}|{_BARE}"),
        # `tokens = count()` is code, `api_key="x"` a secret.
        ("code", rf"""{_REST}["']?\s*[=:]\s*""", f"{_LIST}|{_STRING}"),
    )
}
_STRINGS = re.compile(f"{_STRING}(?P<end>(?P=quote)?)", re.DOTALL)
_USER_FLAGS = ("-u", "--user", "--proxy-user")


class Hiding:
    """Hides secrets, and collects them, so that they can be hidden elsewhere.

    Attributes:
        found: the secrets that were hidden so far.
    """

    def __init__(self) -> None:
        self.found: set[str] = set()

    def text(self, text: str) -> str:
        """Hide what looks like a secret in a text of unknown form: a log or a message."""
        low = _lower(text)
        for needles, form in _FORMS:
            if any(needle in low for needle in needles):
                text = form.sub(lambda match: match[1] + self._hide(match[2]), text)
        return self._named(self._named(self._named(text, "header"), "flag"), "named")

    def argv(self, argv: list[object]) -> list[object]:
        """Hide the secrets of a command line.

        They are the values of secret flags (`--api-key A B`, `--api-key=A`), of assignments
        (`HF_TOKEN=A`), of headers, the passwords of URLs, and secret keys in JSON.
        """
        shown: list[object] = []
        before = ""
        for word in argv:
            if not isinstance(word, str):
                shown.append(word)
                continue
            flag, equals, value = word.partition("=")
            if word.startswith("-"):
                before = flag
            if not word.startswith("-") and looks_secret(before, word):
                shown.append(self._hide(word))
            elif before in _USER_FLAGS and ":" in word:
                user, _, password = word.partition(":")
                shown.append(f"{user}:{self._hide(password)}")
            elif equals and re.fullmatch(r"[\w.-]+", flag) and looks_secret(flag, value):
                shown.append(f"{flag}={self._hide(value)}")
            else:
                shown.append(self.word(word))
        return shown

    def word(self, word: str) -> str:
        """Hide the secrets in one word of a command line, or in the value of a variable."""
        flag = re.match(r"--?[\w.-]+=|-[A-Z](?=[A-Za-z-]+:)", word)
        before, value = (flag[0], word[flag.end() :]) if flag else ("", word)
        header = _HEADER.match(value)
        if header and looks_secret(header["name"], value):
            self.text(value)  # the token alone, too, of `Bearer TOKEN`
            return before + header[0] + self._hide(value[header.end() :])
        return before + self.data(value)

    def data(self, text: str) -> str:
        """Hide the secrets of JSON, YAML or of another text."""
        if text.lstrip()[:1] in {"{", "["}:
            try:
                tree = json.loads(text)
            except (ValueError, RecursionError):
                return self._named(self.text(text), "data")
            hidden = self.keys(tree)
            return text if hidden == tree else json.dumps(hidden, ensure_ascii=False)
        user = _USER.fullmatch(text)
        return f"{user[1]}{self._hide(user[2])}{user[3]}" if user else self.text(text)

    def keys(self, tree: Any, *, within: bool = False) -> Any:  # noqa: ANN401 - JSON
        """Hide the values of secret keys anywhere in JSON, e.g. in the configuration of a KV store.

        Args:
            tree: JSON.
            within: whether it stands under a secret key; then all its texts are secret.
        """
        if isinstance(tree, Mapping):
            named = str(tree.get("name", tree.get("key", "")))  # {"name": "TOKEN", "value": …}
            return {
                key: self._value(named if key == "value" else str(key), value, within=within)
                for key, value in tree.items()
            }
        if isinstance(tree, list):
            return [self.keys(value, within=within) for value in tree]
        if not isinstance(tree, str):
            return tree
        return self._hide(tree) if within else self.word(tree)

    def file(self, path: str, content: str) -> str:
        """Hide the secrets in a file, whatever its format."""
        if path.endswith(".py"):
            return self._named(content, "code")
        if content.lstrip()[:1] in {"{", "["}:
            return self.data(content)
        return self._named(self.text(content), "data")

    def env(self, env: Mapping[str, str]) -> dict[str, str]:
        """Hide the secrets of an environment: values of secret names, and those within others."""
        return {
            name: self._hide(str(value))
            if looks_secret(name, str(value))
            else self.word(str(value))
            for name, value in env.items()
        }

    def _hide(self, secret: str) -> str:
        if secret != HIDDEN:
            self.found.add(secret)
        return HIDDEN

    def _value(self, key: str, value: Any, *, within: bool) -> Any:  # noqa: ANN401 - JSON
        secret = looks_secret(key, str(value))
        if secret and isinstance(value, int | float) and not isinstance(value, bool):
            return self._hide(str(value))
        return self.keys(value, within=within or secret)

    def _named(self, text: str, kind: str) -> str:
        """Hide what follows a secret name; other values are searched for further names."""
        before, value = _PAIRS[kind]
        shown: list[str] = []
        end = 0
        for match in before.finditer(_lower(text)):
            name = text[_begin(text, match.start()) : match.end("rest")]
            if match.start() < end or not _may_be(kind, name):
                continue
            found = value.match(text, match.end())
            if found and looks_secret(name, found[0]):
                shown += [text[end : found.start()], self._matched(found)]
                end = found.end()
        return "".join([*shown, text[end:]])

    def _matched(self, value: re.Match[str]) -> str:
        groups = value.groupdict()
        if groups.get("list"):
            return _STRINGS.sub(
                lambda each: each["quote"] + self._hide(each["quoted"]) + each["end"], value[0]
            )
        if groups.get("quote"):
            return groups["quote"] + self._hide(groups["quoted"])
        return self._hide(value[0])


def _lower(text: str) -> str:
    """Return a text in lower case, as long as it is: only `İ` gets longer."""
    return text.replace("\u0130", "I").lower()


def _begin(text: str, at: int) -> int:
    """Return where the name begins that a position is in."""
    first = max(0, at - _MAX_NAME_CHARS)
    while at > first and text[at - 1] in _NAME_CHARS:
        at -= 1
    return at


def _may_be(kind: str, name: str) -> bool:
    if kind == "header":
        return re.fullmatch(_HEADERS, name.lower()) is not None
    return looks_secret(name) and (kind != "flag" or name.startswith("--"))


def hide_in_text(text: str) -> str:
    """Hide what looks like a secret in a text of unknown form; see `Hiding.text`."""
    return Hiding().text(text)


def hide_in_argv(argv: list[object]) -> list[object]:
    """Hide the secrets of a command line; see `Hiding.argv`."""
    return Hiding().argv(argv)


def hide_in_files(files: Mapping[str, str]) -> dict[str, str]:
    """Hide the secrets in files, path → content."""
    return {path: Hiding().file(path, content) for path, content in files.items()}


def hide_in_env(env: Mapping[str, str]) -> dict[str, str]:
    """Hide the secrets of an environment; see `Hiding.env`."""
    return Hiding().env(env)
