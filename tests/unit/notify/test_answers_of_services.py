"""Test how answers of services are read, signatures, and when a delivery is tried again.

The bodies are those that the services document, or that issues quote: see each line.
"""

import subprocess
from base64 import b64decode
from datetime import UTC, datetime
from urllib.parse import parse_qs, urlsplit

import pytest

from ci.errors import UserError
from ci.notify.answer import Answer, answer_of
from ci.notify.links import report_link, workflow_link
from ci.notify.post import require_url
from ci.notify.receiver import receiver_of, secrets_for
from ci.notify.sign import dingtalk_url, feishu_sign
from ci.notify.tries import TRIES, Clock, tried
from ci.suite.notifying import NotifyTarget

NOW = datetime(2026, 11, 27, 20, 0, tzinfo=UTC)
# open.larksuite.com/document/client-docs/bot-v3/use-custom-bots-in-a-group, of 2025-10-30.
FEISHU_OK = b'{"StatusCode":0,"StatusMessage":"success","code":0,"data":{},"msg":"success"}'
FEISHU_SIGN = b'{"code":19021,"msg":"sign match fail or timestamp is not within one hour"}'
FEISHU_WORDS = b'{"code":19024,"msg":"Key Words Not Found"}'
# As a robot answered on 2025-09-07.
FEISHU_BUSY = b'{"code":11232,"data":{},"msg":"frequency limited psm[lark.oapi]appID[1500]"}'
OK = b'{"errcode":0,"errmsg":"ok"}'
# github.com/ccfos/nightingale/issues/369.
DINGTALK_FAST = b'{"errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}'
# github.com/dromara/domain-admin/issues/82.
WECOM_LONG = b'{"errcode":40058,"errmsg":"markdown.content exceed max length 4096"}'


@pytest.mark.parametrize(
    ("service", "status", "body", "delivered", "again", "reason"),
    [
        ("slack", 200, b"ok", True, False, ""),
        ("slack", 400, b"invalid_payload", False, False, "HTTP 400; invalid_payload"),
        ("slack", 403, b"action_prohibited", False, False, "action_prohibited"),
        ("slack", 404, b"<html>no</html>", False, False, "HTTP 404; check the URL"),
        ("slack", 410, b"channel_is_archived", False, False, "was archived"),
        ("slack", 429, b"", False, True, "HTTP 429"),
        ("slack", 500, b"rollup_error", False, True, "HTTP 500"),
        ("slack", 302, b"", False, False, "it leads elsewhere"),
        ("json", 204, b"", True, False, ""),
        ("json", 503, b"", False, True, "HTTP 503"),
        ("feishu", 200, FEISHU_OK, True, False, ""),
        ("feishu", 200, FEISHU_SIGN, False, False, "check the sign secret"),
        ("feishu", 200, FEISHU_WORDS, False, False, "keywords"),
        ("feishu", 200, FEISHU_BUSY, False, True, "11232"),
        ("feishu", 200, b"<html>sign in</html>", False, False, "did not answer as feishu"),
        ("feishu", 200, b"[1]", False, False, "did not answer as feishu"),
        ("feishu", 200, b'{"code":false}', False, False, "did not answer as feishu"),
        ("wecom", 200, OK, True, False, ""),
        ("wecom", 200, WECOM_LONG, False, False, "40058: markdown.content exceed"),
        ("wecom", 200, b'{"errcode":45009,"errmsg":"x"}', False, False, "too many messages"),
        ("wecom", 200, b'{"errcode":-1,"errmsg":"system busy"}', False, True, "-1: system busy"),
        ("dingtalk", 200, OK, True, False, ""),
        ("dingtalk", 200, DINGTALK_FAST, False, False, "too many messages a minute"),
        ("dingtalk", 200, b'{"errcode":310000,"errmsg":"sign"}', False, False, "security settings"),
        ("dingtalk", 200, b"", False, False, "did not answer as dingtalk"),
    ],
)
def test_an_answer(service, status, body, delivered, again, reason):  # noqa: PLR0913, PLR0917
    answer = answer_of(service, status, None, body, NOW)
    assert (answer.delivered, answer.again) == (delivered, again)
    assert reason in answer.reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("30", 30.0),
        (" 0 ", 0.0),
        ("Fri, 27 Nov 2026 20:01:00 GMT", 60.0),
        ("Fri, 27 Nov 2026 19:00:00 GMT", 0.0),
        ("soon", None),
        ("-5", None),
        ("", None),
        (None, None),
        ("9" * 400, 999999999.0),
    ],
)
def test_retry_after(header, seconds):
    assert answer_of("slack", 429, header, b"", NOW).after_s == seconds


def test_words_of_a_service_are_one_clean_line():
    body = b'{"errcode":1,"errmsg":"\\u001b[31ma\\r\\nb ' + b"x" * 500 + b'"}'
    answer = answer_of("wecom", 200, None, body, NOW)
    assert answer.reason.startswith("1: ")
    assert "\n" not in answer.reason
    assert "\x1b" not in answer.reason
    assert len(answer.reason) < 250


class Time:
    """A clock that goes on when somebody waits, and by some seconds with each attempt."""

    def __init__(self, attempt_s=0.0):
        self.now_s, self.waited, self.attempt_s = 0.0, [], attempt_s

    def wait(self, seconds):
        self.waited.append(seconds)
        self.now_s += seconds

    def clock(self):
        return Clock(lambda: self.now_s, self.wait)


def attempts(time, *answers):
    left = list(answers)

    def attempt(left_s):
        assert left_s > 0
        time.now_s += time.attempt_s
        return left.pop(0)

    return attempt


BUSY = Answer(delivered=False, again=True, reason="HTTP 503")
GONE, DONE = Answer(delivered=False, reason="HTTP 404"), Answer(delivered=True)


def later(seconds):
    return Answer(delivered=False, again=True, reason="HTTP 429", after_s=seconds)


@pytest.mark.parametrize(
    ("answers", "waited", "reason"),
    [
        ([DONE], [], ""),
        ([GONE], [], "HTTP 404"),
        ([BUSY, DONE], [1.0], ""),
        ([BUSY, BUSY, GONE], [1.0, 2.0], "HTTP 404 (try 3)"),
        ([BUSY] * TRIES, [1.0, 2.0, 4.0], "HTTP 503 (try 4)"),
        ([later(30), DONE], [30.0], ""),
        ([later(0), DONE], [1.0], ""),
        ([later(31), later(31)], [31.0], "there is less left"),
        ([later(3600)], [], "HTTP 429; it wants 3600 s of patience"),
    ],
)
def test_tries_are_bounded_and_ask_for_no_more_than_the_receiver_bears(answers, waited, reason):
    time = Time()
    told = tried(attempts(time, *answers), time.clock())
    assert time.waited == waited
    assert reason in told
    assert bool(told) == bool(reason)


def test_slow_attempts_use_up_the_deadline():
    time = Time(attempt_s=25)
    assert "less left" in tried(attempts(time, BUSY, BUSY, BUSY, BUSY), time.clock())
    assert time.now_s <= 80


def openssl(key, text):
    digest = ("openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}")
    done = subprocess.run([*digest, "-binary"], input=text, capture_output=True, check=True)
    return done.stdout


def test_the_signature_of_feishu_is_the_documented_one():
    # `timestamp + "\n" + key` is the key, and nothing is signed.
    assert b64decode(feishu_sign("demo", 100)) == openssl(b"100\ndemo", b"")


def test_the_signature_of_dingtalk_is_the_documented_one():
    url = dingtalk_url("https://oapi.dingtalk.com/robot/send?access_token=a%2Bb", "SEC/1", 7)
    query = parse_qs(urlsplit(url).query, strict_parsing=True)
    assert query["access_token"] == ["a+b"]
    assert query["timestamp"] == ["7"]
    assert b64decode(query["sign"][0]) == openssl(b"SEC/1", b"7\nSEC/1")


@pytest.mark.parametrize(
    "url",
    [
        *(
            "",
            "hooks.slack.com/x",
            "ftp://a/b",
            "https://",
            "https:///x",
            "http://[",
            "http://a/ b",
        ),
        *("http://a:99999/", "http://a\n/b", "file:///etc/passwd"),
    ],
)
def test_what_is_no_url_is_refused_without_being_repeated(url):
    with pytest.raises(UserError) as raised:
        require_url(url, "SLACK_WEBHOOK")
    assert str(raised.value).startswith("$SLACK_WEBHOOK is not")
    assert not url or url not in str(raised.value)


def test_the_secrets_of_a_receiver_are_those_parts_of_its_url_that_give_access():
    env = {"SLACK_WEBHOOK": "https://hooks.example.org/services/T012345/B012345/XyZ1234567890"}
    receiver = receiver_of(NotifyTarget(service="slack", url_env="SLACK_WEBHOOK"), env)
    assert "XyZ1234567890" not in repr(receiver)
    secrets = secrets_for([receiver], env)
    assert {env["SLACK_WEBHOOK"], "/services/T012345/B012345/XyZ1234567890"} <= secrets
    assert "XyZ1234567890" in secrets
    assert not {"services", "hooks.example.org"} & secrets


GITHUB = {
    "GITHUB_SERVER_URL": "https://github.com",
    "GITHUB_REPOSITORY": "org/repo",
    "GITHUB_RUN_ID": "42",
}


@pytest.mark.parametrize(
    ("env", "link"),
    [
        ({}, ""),
        (GITHUB, "https://github.com/org/repo/actions/runs/42"),
        ({**GITHUB, "GITHUB_REPOSITORY": "a> <!channel"}, ""),
        ({"CI_JOB_URL": "https://gitlab.example.org/g/p/-/jobs/7"},) * 2,
        ({"BUILD_URL": "https://jenkins.example.org/job/a/1/"},) * 2,
        ({"BUILD_URL": "javascript:alert(1)"}, ""),
    ],
)
def test_the_link_of_a_workflow(env, link):
    expected = next(iter(link.values())) if isinstance(link, dict) else link
    assert workflow_link(env) == expected


def test_the_link_of_a_report_is_quoted():
    assert report_link("", "a") == ""
    link = report_link("https://a/runs/", "2026|x> <y)")
    assert link == "https://a/runs/2026%7Cx%3E%20%3Cy%29/report.html"
