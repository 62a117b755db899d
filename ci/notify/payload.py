"""Build what each service is sent, within the size that it takes. Pure.

- Slack: blocks of an incoming webhook, https://api.slack.com/messaging/webhooks; a header has at
  most 150 characters and a section 3000, https://api.slack.com/reference/block-kit/blocks. A whole
  message is refused at about 13,200 (https://github.com/slackapi/bolt-js/issues/2509).
- Feishu: `post` of a custom bot, at most 20 KB,
  https://open.feishu.cn/document/client-docs/bot-v3/add-custom-bot.
- WeCom: `markdown` of a group robot, at most 4096 bytes,
  https://developer.work.weixin.qq.com/document/path/91770.
- DingTalk: `markdown` of a custom robot, https://open.dingtalk.com/document/robots/custom-robot-access;
  a larger one is answered with 460101, "message too long, exceed 20000 bytes".
- JSON: of our own; docs/notify.md describes it.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from ci.notify.markup import markup_of, visible
from ci.notify.message import CUT, MOST_CHARS, short

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.notify.message import Message, NightNews
    from ci.suite.notifying import Service

VERSION = 1
SLACK_HEADER_CHARS = 150
SLACK_SECTION_CHARS = 3000
SLACK_SECTIONS = 4
# Service → the largest body, or the largest text where the service counts that, in bytes.
MAX_BYTES: Mapping[Service, int] = {
    "slack": 64_000,
    "feishu": 20_000,
    "wecom": 4096,
    "dingtalk": 20_000,
    "json": 1 << 20,
    "email": 256_000,
}
TITLE_CHARS = 200
MAIL_SUBJECT_CHARS = 150
# Nights, and characters of each text, until a message fits.
_SIZES = tuple(
    (n_nights, n_chars)
    for n_chars in (MOST_CHARS, 300, 120)
    for n_nights in (1000, 60, 40, 25, 15, 10, 6, 4, 2, 1)
    if n_chars == MOST_CHARS or n_nights <= 10  # noqa: PLR2004 - short texts of few nights
)


def fitted(
    service: Service,
    message: Message,
    write: Callable[[Message], str],
    owners: Mapping[str, str],
) -> dict[str, Any]:
    """Build the largest payload that the service takes.

    First the last nights are left out, then texts are cut; `…` shows both.

    Args:
        service: the receiver.
        message: what is told.
        write: writes the text of a message; it is called for shorter ones, too.
        owners: owner → whom it mentions there.
    """
    text = ""
    for n_nights, n_chars in _order(len(message.nights)):
        shorter = message.shorter(n_nights, n_chars)
        text = write(shorter)
        made = payload(service, shorter, text, owners)
        if fits(service, made):
            return made
    last = message.shorter(1, _SIZES[-1][1])
    while text:
        text = text[: len(text) * 3 // 4].rstrip()
        made = payload(service, last, text + CUT, owners)
        if fits(service, made):
            return made
    return payload(service, last, "", owners)


def _order(nights: int) -> list[tuple[int, int]]:
    """Return the sizes to try, without those that leave nothing out."""
    tried = [(min(n_nights, nights), n_chars) for n_nights, n_chars in _SIZES]
    return list(dict.fromkeys(tried))


def fits(service: Service, made: Mapping[str, Any]) -> bool:
    """Return whether a service takes a payload."""
    if service == "slack":
        sections = [block for block in made["blocks"] if block["type"] == "section"]
        texts = [section["text"]["text"] for section in sections]
        if len(texts) > SLACK_SECTIONS or any(len(each) > SLACK_SECTION_CHARS for each in texts):
            return False
    counted = made["markdown"]["content"] if service == "wecom" else body_of(made)
    size = len(counted.encode() if isinstance(counted, str) else counted)
    # Feishu and DingTalk add a signature, or its parameters.
    return size <= MAX_BYTES[service] - (200 if service != "wecom" else 0)


def body_of(made: Mapping[str, Any]) -> bytes:
    """Write a payload as the body of a request."""
    return json.dumps(made, ensure_ascii=False).encode("utf-8")


def payload(
    service: Service, message: Message, text: str, owners: Mapping[str, str]
) -> dict[str, Any]:
    """Build what a service is sent.

    Args:
        service: the receiver.
        message: what is told.
        text: its text in the markup of the service, without the title.
        owners: owner → whom it mentions there.
    """
    people = mentioned(message.nights, owners)
    built: dict[str, Any] = _visible(_PAYLOADS[service](message, text, people))
    return built


def _visible(tree: Any) -> Any:  # noqa: ANN401 - JSON
    """Remove what no one sees, and what is no UTF-8, from every text."""
    if isinstance(tree, dict):
        return {key: _visible(value) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_visible(value) for value in tree]
    return visible(tree) if isinstance(tree, str) else tree


def mentioned(nights: Sequence[NightNews], owners: Mapping[str, str]) -> list[str]:
    """List the people whom a message mentions, each once."""
    named = (owners.get(night.owner, "") for night in nights if night.mentions)
    return list(dict.fromkeys(filter(None, named)))


def _slack(message: Message, text: str, _: list[str]) -> dict[str, Any]:
    title = markup_of("slack").text(message.title)
    header = {
        "type": "plain_text",
        "text": short(message.title, SLACK_HEADER_CHARS) or "-",
        "emoji": False,
    }
    return {
        "text": short(title, TITLE_CHARS),
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "header", "text": header},
            *(
                # Verbatim: no name and no address in a text becomes a link or a mention.
                {"type": "section", "text": {"type": "mrkdwn", "text": each, "verbatim": True}}
                for each in slack_sections(text)
            ),
        ],
    }


def slack_sections(text: str) -> list[str]:
    """Put paragraphs into as few sections as have room for them."""
    sections: list[str] = []
    for paragraph in filter(None, re.split(r"\n\s*\n", text)):
        joined = f"{sections[-1]}\n\n{paragraph}" if sections else paragraph
        if sections and len(joined) <= SLACK_SECTION_CHARS:
            sections[-1] = joined
        else:
            sections.append(paragraph)
    return sections


# Of `zh_cn` and `en_us` one is enough; the examples of the documentation have this one.
def _feishu(message: Message, text: str, people: list[str]) -> dict[str, Any]:
    content: list[list[dict[str, str]]] = [
        [{"tag": "text", "text": line}] for line in text.split("\n") if line
    ]
    content += [
        [{"tag": "a", "text": f"report of {night.run}", "href": night.link}]
        for night in message.nights
        if night.link
    ]
    if message.link:
        content.append([{"tag": "a", "text": "all nights", "href": message.link}])
    if people:
        content.append([{"tag": "at", "user_id": person} for person in people])
    title = short(markup_of("feishu").text(message.title), TITLE_CHARS)
    return {
        "msg_type": "post",
        "content": {"post": {"zh_cn": {"title": title, "content": content}}},
    }


def _wecom(message: Message, text: str, _: list[str]) -> dict[str, Any]:
    title = markup_of("wecom").bold(short(message.title, TITLE_CHARS))
    return {"msgtype": "markdown", "markdown": {"content": f"{title}\n{text}"}}


def _dingtalk(message: Message, text: str, people: list[str]) -> dict[str, Any]:
    title = markup_of("dingtalk").text(short(message.title, TITLE_CHARS))
    # One line break alone is none in its Markdown.
    body = re.sub(r"\n+", "\n\n", f"**{title}**\n{text}")
    # Whom `at` lists has to stand in the text, too; a template may leave it out.
    body += "".join(f" @{person}" for person in people if f"@{person}" not in body)
    mobiles = [person for person in people if re.fullmatch(r"\+?[\d-]+", person)]
    return {
        "msgtype": "markdown",
        "markdown": {"title": title, "text": body},
        "at": {
            "atMobiles": mobiles,
            "atUserIds": [person for person in people if person not in mobiles],
            "isAtAll": False,
        },
    }


def _json(message: Message, text: str, people: list[str]) -> dict[str, Any]:
    return {
        "schema": VERSION,
        "source": "lamplighter",
        "suite": message.name,
        "title": message.title,
        "outcome": message.outcome,
        "text": text,
        "nights": [
            {key: value for key, value in asdict(night).items() if key != "mentions"}
            for night in message.nights
        ],
        "same": message.same,
        "more": message.more,
        "remarks": list(message.remarks),
        "mentioned": people,
        "link": message.link,
    }


def _email(message: Message, text: str, people: list[str]) -> dict[str, Any]:
    return {
        "subject": short(markup_of("email").text(message.title), MAIL_SUBJECT_CHARS),
        "text": f"{markup_of('email').text(message.title)}\n\n{text}\n",
        "also_to": people,
    }


_PAYLOADS: Mapping[Service, Callable[[Message, str, list[str]], dict[str, Any]]] = {
    "slack": _slack,
    "feishu": _feishu,
    "wecom": _wecom,
    "dingtalk": _dingtalk,
    "json": _json,
    "email": _email,
}
