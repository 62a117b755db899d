"""Write texts in the markup of each service, so that none of them can mention or format. Pure.

Slack decodes `&amp;`, `&lt;` and `&gt;`, and nothing else
(https://api.slack.com/docs/message-formatting, "Escaping text"). For other marks of it, and for
those of WeCom and DingTalk, no escape is documented: characters that look the same take their
place, which no service reads as markup.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.connect.printed import INVISIBLE, clean, one_line

if TYPE_CHECKING:
    from collections.abc import Callable

    from ci.suite.notifying import Service

_SLACK = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_LIKE = {"*": "\u2217", "`": "\u02cb", "~": "\u223c"}
_SLACK_LIKE = str.maketrans(_LIKE)
_MARKDOWN_LIKE = str.maketrans(
    _LIKE
    | {
        "<": "\uff1c",
        ">": "\uff1e",
        "[": "\uff3b",
        "]": "\uff3d",
        "@": "\uff20",
        "#": "\uff03",
        "\\": "\uff3c",
    }
)
_CODE_LIKE = str.maketrans({"`": "\u02cb", "<": "\uff1c"})
# Inside a word, as in `output_token_throughput`, it is no mark.
_UNDERSCORE = re.compile(r"(?<![^\W_])_+|_+(?![^\W_])")


class Ready(str):
    """A text in the markup of a service. What is made from it otherwise is a plain text again."""

    __slots__ = ()


@dataclass(frozen=True)
class Markup:
    """The markup of a service; each function takes a plain text.

    Attributes:
        text: one line.
        bold: one line that stands out.
        code: lines to copy.
        link: address and title.
        mention: a person's name there, which `OWNER_IDS` has checked.
    """

    text: Callable[[str], str]
    bold: Callable[[str], str]
    code: Callable[[str], str]
    link: Callable[[str, str], str]
    mention: Callable[[str], str]


def visible(text: str) -> str:
    """Remove control characters, and those that no one sees; newlines stay."""
    return INVISIBLE.sub("", clean(text))


def _line(text: str) -> str:
    return INVISIBLE.sub("", one_line(text))


def _underscores(text: str) -> str:
    return _UNDERSCORE.sub(lambda match: "\u02cd" * len(match[0]), text)


def _slack(text: str) -> str:
    return _underscores(_line(text).translate(_SLACK_LIKE)).translate(_SLACK)


def _slack_code(text: str) -> str:
    return f"```\n{visible(text).translate(_CODE_LIKE).translate(_SLACK)}\n```"


def _slack_mention(person: str) -> str:
    return f"<!subteam^{person}>" if person.startswith("S") else f"<@{person}>"


def _markdown(text: str) -> str:
    return _underscores(_line(text).translate(_MARKDOWN_LIKE))


def _wecom_code(text: str) -> str:
    return "\n".join(f"`{line.translate(_CODE_LIKE)}`" for line in visible(text).splitlines())


def _dingtalk_code(text: str) -> str:
    return "\n".join(f"> {_markdown(line)}" for line in visible(text).splitlines())


def _feishu(text: str) -> str:
    # `<at user_id="all">` in texts mentions people; it has no escape.
    return re.sub(r"<(?=\s*[/!?\w@])", "\uff1c", _line(text))


def _feishu_code(text: str) -> str:
    return "\n".join(_feishu(line) for line in visible(text).splitlines())


def _indented(text: str) -> str:
    return "\n".join(f"    {line}" for line in visible(text).splitlines())


def _bold_if(bold: str, text: str) -> str:
    return f"{bold}{text}{bold}" if text else ""


_MARKUPS: dict[Service, Markup] = {
    "slack": Markup(
        text=_slack,
        bold=lambda text: _bold_if("*", _slack(text)),
        code=_slack_code,
        link=lambda url, title: f"<{url.translate(_SLACK)}|{_slack(title)}>",
        mention=_slack_mention,
    ),
    "wecom": Markup(
        text=_markdown,
        bold=lambda text: _bold_if("**", _markdown(text)),
        code=_wecom_code,
        link=lambda url, title: f"[{_markdown(title)}]({_in_parentheses(url)})",
        mention=lambda person: f"<@{person}>",
    ),
    "dingtalk": Markup(
        text=_markdown,
        bold=lambda text: _bold_if("**", _markdown(text)),
        code=_dingtalk_code,
        link=lambda url, title: f"[{_markdown(title)}]({_in_parentheses(url)})",
        mention=lambda person: f"@{person}",
    ),
    "feishu": Markup(
        text=_feishu,
        bold=_feishu,
        code=_feishu_code,
        # Elements of their own, beside the text.
        link=lambda _url, _title: "",
        mention=lambda _: "",
    ),
}
_PLAIN = Markup(
    text=_line,
    bold=_line,
    code=_indented,
    link=lambda url, title: f"{_line(title)}: {url}",
    mention=_line,
)


def markup_of(service: Service) -> Markup:
    """Return the markup of a service; plain text for e-mail and JSON."""
    return _MARKUPS.get(service, _PLAIN)


def _in_parentheses(url: str) -> str:
    return url.replace("(", "%28").replace(")", "%29")
