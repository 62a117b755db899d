"""Test what each service is sent: its form and size; no text in it mentions or formats."""

import json
import re

import pytest
from messages import HOSTILE, LINK, OWNERS, hostile_news, made, news, texts

from ci.errors import UserError
from ci.notify.message import message
from ci.notify.payload import (
    MAX_BYTES,
    SLACK_HEADER_CHARS,
    SLACK_SECTION_CHARS,
    SLACK_SECTIONS,
    body_of,
    fits,
)
from ci.notify.template import read_template, writer
from ci.suite.notifying import SERVICES

ONE = message([news()])
# Characters that no payload may have, whatever a text had.
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u200b\u202a-\u202e\u2066-\u2069]")


def written(tree):
    return "\n".join(texts(tree))


@pytest.mark.parametrize("service", SERVICES)
def test_a_message_has_verdict_cause_step_link_and_owner(service):
    text = written(made(service, ONE))
    for part in ("FAIL: 1 of 2 checks", "61.00 %", "inv compare", LINK, "dense", "0.12.0"):
        assert part in text, part


MENTIONS = {
    "slack": "<@U012AB3CD>",
    "wecom": "<@zhangsan>",
    "dingtalk": "@13900002222",
    "email": "dense@example.org",
}


@pytest.mark.parametrize(("service", "mark"), MENTIONS.items())
def test_the_owner_is_mentioned_in_the_text(service, mark):
    assert mark in written(made(service, ONE))


def test_mentions_that_are_elements():
    feishu = made("feishu", ONE)["content"]["post"]["zh_cn"]["content"]
    assert [{"tag": "at", "user_id": "ou_18eac8"}] in feishu
    assert made("dingtalk", ONE)["at"] == {
        "atMobiles": ["13900002222"],
        "atUserIds": [],
        "isAtAll": False,
    }
    by_id = made("dingtalk", ONE, {"dense": "manager42"})
    assert by_id["at"]["atUserIds"] == ["manager42"]
    assert "@manager42" in by_id["markdown"]["text"]
    assert made("email", ONE)["also_to"] == ["dense@example.org"]
    assert made("json", ONE)["mentioned"] == ["dense"]


@pytest.mark.parametrize("service", SERVICES)
def test_a_good_night_mentions_nobody(service):
    good = message([news(outcome="pass", change="recovered", mentions=False, cause="")])
    payload = made(service, good)
    assert "RECOVERED" in written(payload)
    text = body_of(payload).decode()
    assert OWNERS[service]["dense"] not in text.replace('"owner": "dense"', "")


def test_the_group_of_slack_is_mentioned_as_a_group():
    assert "<!subteam^S0123456>" in written(made("slack", ONE, {"dense": "S0123456"}))


# What would mention, format, link or show an image, if a text could do it. Our own lines begin
# with what we write.
FORBIDDEN = {
    "slack": r"<(?!/)|(?<![\w`])`(?!`)|\*(?!local)|~|(?<!\w)_|_(?!\w)",
    "wecom": r"<|\]\(|\[|(?<!\*)\*(?!\*)|~|(?<!\w)_|@|#|\\",
    "dingtalk": r"<|\]\(|\[|(?<!\*)\*(?!\*)|~|`|(?<!\w)_|@|#|\\",
    "feishu": r"<\s*[/\w@!]",
}


@pytest.mark.parametrize(("service", "forbidden"), FORBIDDEN.items())
def test_hostile_texts_neither_mention_nor_format(service, forbidden):
    payload = made(service, message([hostile_news()]))
    if service == "slack":
        header, *sections = payload["blocks"]
        assert header["text"]["type"] == "plain_text"
        parts = [payload["text"], *(section["text"]["text"] for section in sections)]
        text = "\n".join(parts)
        # Within our own fences nothing is markup but entities and the fence.
        fences = re.findall(r"^```\n(.*?)\n```$", text, flags=re.DOTALL | re.MULTILINE)
        assert fences
        assert not any("`" in fence or "<" in fence for fence in fences)
        text = re.sub(r"^```\n.*?\n```$", "", text, flags=re.DOTALL | re.MULTILINE)
    elif service == "wecom":
        text = payload["markdown"]["content"]
        code = re.findall(r"^`(.*)`$", text, flags=re.MULTILINE)
        assert code
        assert not any("`" in line or "<" in line for line in code)
        text = re.sub(r"^`[^`\n]*`$", "", text, flags=re.MULTILINE)
        text = re.sub(r"^\*\*[^*\n]*\*\*$", "", text, flags=re.MULTILINE)
        assert "`" not in text
    elif service == "dingtalk":
        text = re.sub(
            r"^\*\*([^*\n]*)\*\*$", r"\1", payload["markdown"]["text"], flags=re.MULTILINE
        )
        assert payload["at"] == {"atMobiles": [], "atUserIds": [], "isAtAll": False}
    else:
        lines = payload["content"]["post"]["zh_cn"]["content"]
        assert {element["tag"] for line in lines for element in line} == {"text"}
        text = written(payload)
    found = re.search(forbidden, text)
    assert found is None, text[max(0, found.start() - 40) : found.end() + 40]


@pytest.mark.parametrize("service", SERVICES)
def test_hostile_texts_have_no_controls_and_stay_json(service):
    payload = made(service, message([hostile_news()], name=HOSTILE, remarks=(HOSTILE,)))
    assert not UNSEEN.search(written(payload))
    again = json.loads(body_of(payload))
    assert again == payload
    assert "49" not in written(payload)  # no text is a template


def test_a_subject_is_one_line():
    payload = made("email", message([hostile_news()]))
    assert "\n" not in payload["subject"]
    assert len(payload["subject"]) <= 150


LONG = "模型" * 5000
MANY = [news(case=f"case-{number}", cause="c" * 500, owner="dense") for number in range(60)]


@pytest.mark.parametrize("service", SERVICES)
@pytest.mark.parametrize(
    "built",
    [
        message([hostile_news(LONG)]),
        message([news(cause=LONG, headline=LONG, changed=(LONG,) * 3)]),
        message(MANY, name="daily", same=3),
        message([hostile_news(LONG)] * 60, name=LONG, remarks=(LONG,) * 60),
        message([], name="daily", remarks=("nothing ran",)),
    ],
    ids=["one", "real", "many", "worst", "none"],
)
def test_sizes_are_respected(service, built):
    payload = made(service, built)
    assert fits(service, payload)
    counted = payload["markdown"]["content"].encode() if service == "wecom" else body_of(payload)
    assert len(counted) <= MAX_BYTES[service]
    if service == "slack":
        header, *sections = payload["blocks"]
        assert len(header["text"]["text"]) <= SLACK_HEADER_CHARS
        assert len(sections) <= SLACK_SECTIONS
        assert all(len(each["text"]["text"]) <= SLACK_SECTION_CHARS for each in sections)


def test_what_has_no_place_is_counted():
    text = written(made("wecom", message(MANY, name="daily", same=3)))
    assert "daily: 60 failed, 3 as before" in text
    shown = len(re.findall(r"case-\d+", text))
    assert 0 < shown < 60
    assert f"and {60 - shown} more nights" in text


def test_the_worst_night_comes_first():
    built = message(
        [news(case="good", outcome="pass"), news(case="lost", outcome="unknown"), news()]
    )
    assert [night.case for night in built.nights] == ["Qwen3-32B", "lost", "good"]
    assert built.outcome == "fail"


def test_a_command_is_whole_or_absent():
    command = "inv compare " + "x" * 400
    step = news().steps[0]
    built = message([news(steps=(type(step)("See", command),))] * 30, name="daily")
    for line in written(made("wecom", built)).split("\n"):
        assert "inv compare" not in line or command in line


@pytest.mark.parametrize("service", SERVICES)
def test_a_template_of_an_operator(service):
    template = ("own.j2", "{% for n in nights %}=> {{ n.cause }} by {{ n | mention }}{% endfor %}")
    built = message([news(cause="<!channel> **x** @all")])
    text = writer(template, service, OWNERS[service])(built)
    assert text.startswith("=> ")
    if service in MENTIONS:
        assert MENTIONS[service] in text
    if service in FORBIDDEN:
        assert "<!channel>" not in text


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a\n{% for x in %}", "own.j2:2: "),
        ("{{ nonesuch }}", "own.j2:1: 'nonesuch' is undefined"),
        ("a\nb\n{% for n in nights %}\n{{ n.case }} {{ n.nonesuch }}\n{% endfor %}", "own.j2:4: "),
        ("{{ nights[7].case }}", "own.j2:1: "),
        ("{{ message.__class__.__mro__ }}", "own.j2:1: "),
        ("{{ ''.__class__ }}", "own.j2:1: "),
        ("{% include '/etc/passwd' %}", "own.j2:1: "),
        ("a\n{{ 1 / 0 }}", "own.j2:2: division by zero"),
        ("{{ nights | nonesuch }}", "own.j2:1: "),
        ("{% for a in range(10**9) %}x{% endfor %}", "own.j2:1: "),
    ],
)
def test_a_template_that_is_wrong_or_reaches_out(text, wrong):
    with pytest.raises(UserError) as raised:
        writer(("own.j2", text), "slack", {})(ONE)
    assert str(raised.value).startswith(wrong)
    assert str(raised.value).endswith("; docs/notify.md lists what a template may use")


@pytest.mark.parametrize(
    "text",
    [
        "{{ nights[0].cause | safe }}",
        "{{ nights[0].cause ~ nights[0].cause }}",
        "{% set x %}{{ nights[0].cause }}{% endset %}{{ x }}",
        "{% autoescape false %}{{ nights[0].cause }}{% endautoescape %}",
        "{{ (nights[0].cause | bold) ~ '' }}",
        "{{ nights[0].cause | bold | upper }}",
    ],
)
def test_no_template_prints_a_value_unescaped(text):
    built = message([news(cause="<!channel>")])
    try:
        made_text = writer(("own.j2", text), "slack", {})(built)
    except UserError:
        return
    assert "<!" not in made_text


def test_a_template_that_cannot_be_read(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        read_template(tmp_path / "none.j2")
    (tmp_path / "latin.j2").write_bytes(b"\xff")
    with pytest.raises(UserError, match="UTF-8"):
        read_template(tmp_path / "latin.j2")
    (tmp_path / "large.j2").write_bytes(b"x" * (65 << 10))
    with pytest.raises(UserError, match="64 KiB"):
        read_template(tmp_path / "large.j2")
