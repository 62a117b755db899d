"""Find secrets by the names they stand under, and hide them in texts. Pure.

A value is secret if the name of its variable, flag, header or key looks so, or if it is the
password of a URL, a private key, or a token of a well-known form. Texts such as foreign logs are
searched for the same forms.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ci.record.secret_names import looks_secret

HIDDEN = "***"

# Each has what stays before the secret, and the secret. The password of a URL may have `@` and `/`,
# but a number before a `/` is a port.
_FORMS = tuple(
    re.compile(pattern, re.DOTALL)
    for pattern in (
        r"(-----BEGIN [A-Z0-9 ]*PRIVATE KEY(?: BLOCK)?-----)(.+?)(?=-----END|\Z)",
        r"((?<![A-Za-z0-9+.-])[A-Za-z][A-Za-z0-9+.-]*://[^/\s:@'\"]*:)((?!\d{1,5}/)(?:(?!://)[^\s'\"])+)(?=@)",
        r"(\bhttps?://)([^/\s:@'\"]{8,})(?=@)",
        r"(\b(?i:bearer|basic) +)([A-Za-z0-9._~+/=-]{8,})",
        r"(\b)(hf_[A-Za-z0-9]{16,}|(?:sk|glpat|xox[abp])-[\w-]{16,}|(?:gh[opsu]|github_pat)_\w{20,})",
        r"(\b)(eyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]+)",
    )
)
# `user:password@host:port` as a whole word.
_USER = re.compile(r"([^\s:@/'\"=]+:)([^\s@'\"/]+)(@[\w.-]+(?::\d+)?)")

_HEADER = re.compile(r"(?P<name>[A-Za-z][A-Za-z0-9-]*)\s*:(?!//)\s*(?=\S)")
# What comes before a secret, with its name, and the forms that the secret then has.
_KEY = r"""(?<![\w.-])(?P<mark>["']?)(?P<name>[A-Za-z][\w.-]*)(?P=mark)"""
_STRING = r"""(?P<quote>["'])(?P<quoted>(?:\\.|(?!(?P=quote))[^\\])*)"""
_BARE = r"""(?P<bare>[^\s"',;&}\])\[{*][^\s"',;&}\])]*)"""
_LIST = r"(?P<list>\[[^\]]*)"
_HEADERS = "x-[\\w-]+|(?:proxy-)?authorization|(?:set-)?cookie"
_PAIRS = {
    name: (re.compile(before), re.compile(value, re.DOTALL))
    for name, before, value in (
        (
            "header in text",
            rf"(?<![\w-])(?P<name>(?i:{_HEADERS}))\s*:\s*(?i:(?:bearer|basic|digest) +)?",
            r"(?P<bare>[^\s'\"*\[{][^\r\n'\"]*)",
        ),
        (
            "flag",
            r"(?<![\w-])(?P<name>--[A-Za-z][\w-]*)\s+(?!-)",
            rf"{_STRING}|(?P<bare>[^\s'\"*\[][^\s'\"]*)",
        ),
        ("named", rf"{_KEY}(?:\s*=\s*|\s*:\s*(?=[\[\"']))", f"{_LIST}|{_STRING}|{_BARE}"),
        # A bare `name: value` is a sentence, but not in data.
        ("data", rf"{_KEY}\s*:[^\S\n]+", f"{_STRING}|{_BARE}"),
        # `tokens = count()` is code, `api_key="x"` a secret.
        ("code", rf"{_KEY}\s*[=:]\s*", f"{_LIST}|{_STRING}"),
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
        for form in _FORMS:
            text = form.sub(lambda match: match[1] + self._hide(match[2]), text)
        return self._named(self._named(self._named(text, "header in text"), "flag"), "named")

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
        for key in before.finditer(text):
            if key.start() < end or not looks_secret(key["name"]):
                continue
            found = value.match(text, key.end())
            if found and looks_secret(key["name"], found[0]):
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
