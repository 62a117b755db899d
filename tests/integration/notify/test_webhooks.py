"""Test deliveries to webhooks: local receivers that answer, refuse, wait, hang up or are down."""

import json
import socket
from base64 import b64decode
from urllib.parse import parse_qs, urlsplit

import pytest
from receivers import TOKEN, http_receiver
from sample_run import check
from stored_runs import run_of, stored

from ci.history.database import opened
from ci.history.folders import refresh
from ci.notify import post as posting
from ci.notify import sending
from ci.notify.deliver import notify
from ci.notify.nights import FILE, Ended
from ci.notify.receiver import sign_variable, webhook_variable
from ci.notify.sign import feishu_sign
from ci.notify.tries import TRIES, Clock
from ci.record.stored import as_run
from ci.suite.notifying import Notify, NotifyTarget

WEBHOOKS = ("slack", "feishu", "wecom", "dingtalk", "json")
SECRET = "hunter2-5f2a91c0de"  # noqa: S105 - to be looked for
PERSON = {"slack": "U012AB3CD", "dingtalk": "13900002222"}


@pytest.fixture
def runs(tmp_path):
    """Write nights of a case, with their history; return their folders."""

    def make(*nights):
        folders = [stored(tmp_path, night) for night in nights]
        with opened(tmp_path) as connection:
            refresh(tmp_path, connection, pytest.fail)
        return folders

    return make


class Waits:
    """A clock whose waits take no time."""

    def __init__(self):
        self.waited = []

    def clock(self):
        return Clock(wait=self.waited.append)


def tell(folders, *targets, env, waits=None, owner="dense", **given):
    """Tell about nights; return the deliveries, which have no secret."""
    ended = [Ended(folder, owner) for folder in folders]
    wanted = Notify(to=list(targets), **given.pop("wanted", {}))
    waits = waits or Waits()
    deliveries = notify(ended, wanted, env=env, clock=waits.clock(), **given)
    for each in deliveries:
        text = f"{each.to} {each.note} {each.payload}"
        assert TOKEN not in text
        assert SECRET not in text
    return deliveries


def target_of(service, **changes):
    owners = {"dense": PERSON.get(service, "person")}
    return NotifyTarget(**({"service": service, "mention": owners} | changes))


@pytest.mark.parametrize("service", WEBHOOKS)
def test_a_service_takes_a_message(service, runs):
    *_, bad = runs(run_of(0), run_of(1, outcome="fail"))
    with http_receiver(service) as receiver:
        env = {webhook_variable(service): receiver.url}
        (delivery,) = tell([bad], target_of(service), env=env)
        assert (delivery.outcome, delivery.note) == ("sent", "")
        [(path, headers, body)] = receiver.requests
    assert path == urlsplit(receiver.url).path + "?" + urlsplit(receiver.url).query
    assert headers["Content-Type"].startswith("application/json")
    assert json.loads(body) == json.loads(delivery.payload)
    assert b"acc accuracy is 75.00 %" in body


def test_feishu_gets_time_and_signature_in_the_body(runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    with http_receiver("feishu") as receiver:
        env = {webhook_variable("feishu"): receiver.url, sign_variable("feishu"): SECRET}
        (delivery,) = tell([bad], target_of("feishu"), env=env)
        (payload,) = receiver.payloads
    assert payload["sign"] == feishu_sign(SECRET, int(payload["timestamp"]))
    assert json.loads(delivery.payload)["sign"] == "***"


def test_dingtalk_gets_time_and_signature_in_the_address(runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    with http_receiver("dingtalk") as receiver:
        env = {webhook_variable("dingtalk"): receiver.url, "OWN_SIGN_SECRET": SECRET}
        target = target_of("dingtalk", sign_env="OWN_SIGN_SECRET")
        (delivery,) = tell([bad], target, env=env)
        [(path, _, _)] = receiver.requests
    query = parse_qs(urlsplit(path).query)
    assert query["access_token"] == [TOKEN]
    assert len(query["timestamp"][0]) == 13
    assert len(b64decode(query["sign"][0])) == 32
    assert delivery.outcome == "sent"


BAD_ANSWERS = {
    "busy": ([(503, {}, b"")], [1.0], "sent"),
    "asked to wait": ([(429, {"Retry-After": "7"}, b"")] * 2, [7.0, 7.0], "sent"),
    "always busy": ([(500, {}, b"")] * TRIES, [1.0, 2.0, 4.0], "failed"),
    "closed": ([None, None], [1.0, 2.0], "sent"),
    "always closed": ([None] * TRIES, [1.0, 2.0, 4.0], "failed"),
    "asked to wait for hours": ([(429, {"Retry-After": "7200"}, b"")], [], "failed"),
    "wrong": ([(404, {}, f"no {TOKEN}".encode())], [], "failed"),
    "elsewhere": ([(307, {"Location": "http://127.0.0.1:1/"}, b"")], [], "failed"),
}


@pytest.mark.parametrize(("answers", "waited", "outcome"), BAD_ANSWERS.values(), ids=BAD_ANSWERS)
@pytest.mark.parametrize("service", ["slack", "feishu"])
def test_a_receiver_that_does_not_take_it_at_once(service, answers, waited, outcome, runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    waits = Waits()
    with http_receiver(service) as receiver:
        receiver.answers = list(answers)
        env = {webhook_variable(service): receiver.url}
        (delivery,) = tell([bad], target_of(service), env=env, waits=waits)
        assert delivery.outcome == outcome
        assert len(receiver.requests) == len(waited) + 1
        assert len({body for _, _, body in receiver.requests}) == 1
    assert waits.waited == waited
    assert bool(delivery.note) == (outcome == "failed")


def test_a_receiver_that_does_not_answer_is_not_told_twice(runs, monkeypatch):
    monkeypatch.setattr(posting, "READ_S", 0.2)
    (bad,) = runs(run_of(0, outcome="fail"))
    with http_receiver("slack") as receiver:
        receiver.answers = ["hang"]
        (delivery,) = tell([bad], target_of("slack"), env={webhook_variable("slack"): receiver.url})
        assert len(receiver.requests) == 1
    assert (delivery.outcome, "may have arrived" in delivery.note) == ("failed", True)


def test_a_receiver_that_is_down_is_a_note(runs):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        url = f"http://127.0.0.1:{taken.getsockname()[1]}/{TOKEN}"
        (bad,) = runs(run_of(0, outcome="fail"))
        (delivery,) = tell([bad], target_of("slack"), env={webhook_variable("slack"): url})
    assert delivery.outcome == "failed"
    problem, step = delivery.note.split("; ")
    assert problem == f"no connection, or it was closed (try {TRIES})"
    assert step == "check host and port of its URL, and that this machine reaches them"


@pytest.mark.parametrize("url", ["", "hooks.slack.com/T", f"ftp://x/{TOKEN}"])
def test_a_wrong_variable_is_a_note(url, runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    (delivery,) = tell([bad], target_of("slack"), env={webhook_variable("slack"): url})
    assert delivery.outcome == "failed"
    assert delivery.note.startswith("$LAMPLIGHTER_SLACK_WEBHOOK is not")


def test_one_receiver_that_fails_does_not_keep_the_others_from_it(runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    with http_receiver("wecom") as receiver:
        env = {
            webhook_variable("wecom"): receiver.url,
            webhook_variable("slack"): "http://127.0.0.1:1/x",
        }
        deliveries = tell([bad], target_of("slack"), target_of("wecom"), env=env)
        assert [each.outcome for each in deliveries] == ["failed", "sent"]
        assert len(receiver.requests) == 1


def nights(*outcomes):
    return [run_of(night, outcome=outcome) for night, outcome in enumerate(outcomes)]


@pytest.mark.parametrize(
    ("outcomes", "told", "word"),
    [
        (("pass",), True, "first night"),
        (("pass", "pass"), False, ""),
        (("pass", "fail"), True, "FAIL"),
        (("fail", "fail"), False, ""),
        (("fail", "unknown"), True, "UNKNOWN"),
        (("unknown", "unknown"), False, ""),
        (("fail", "pass"), True, "RECOVERED"),
    ],
)
def test_without_news_nobody_is_told(outcomes, told, word, runs):
    *_, last = runs(*nights(*outcomes))
    with http_receiver("json") as receiver:
        env = {webhook_variable("json"): receiver.url}
        (delivery,) = tell([last], target_of("json"), env=env)
        assert len(receiver.requests) == told
        assert delivery.outcome == ("sent" if told else "quiet")
        if told:
            assert word in receiver.payloads[0]["title"]
        # Asked for, it is told in any case: by the suite, or by the target.
        tell([last], target_of("json"), env=env, wanted={"always": True})
        tell([last], target_of("json", always=True), env=env)
        # Otherwise it is told once.
        tell([last], target_of("json", always=False), env=env, wanted={"always": True})
        assert len(receiver.requests) == 2 + told


def test_who_was_not_reached_is_told_by_the_next_night(runs):
    first, second, third = runs(*nights("fail", "fail", "fail"))
    with http_receiver("json") as receiver:
        env = {webhook_variable("json"): receiver.url}
        receiver.answers = [(404, {}, b"")]
        assert tell([first], target_of("json"), env=env)[0].outcome == "failed"
        assert TOKEN not in (first / FILE).read_text("utf-8")
        assert tell([second], target_of("json"), env=env)[0].outcome == "sent"
        assert "still" in receiver.payloads[-1]["title"]
        assert tell([third], target_of("json"), env=env)[0].outcome == "quiet"


DAMAGED = ("", "[]", '{"receivers": []}', "[" * 10_000, '{"receivers": {"a": 1}}')


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_note_of_who_was_told_is_none(content, runs):
    first, second = runs(*nights("fail", "fail"))
    (first / FILE).write_text(content, "utf-8")
    with http_receiver("json") as receiver:
        env = {webhook_variable("json"): receiver.url}
        assert tell([second], target_of("json"), env=env)[0].outcome == "quiet"


def test_the_nights_of_a_suite_are_one_message(runs):
    cases = {"a": ("pass", "fail"), "b": ("pass", "pass"), "c": ("fail", "pass")}
    cases["d"] = cases["a"]
    stored_ = [
        run_of(night, outcome=outcome, case=case)
        for case, outcomes in cases.items()
        for night, outcome in enumerate(outcomes)
    ]
    folders = runs(*stored_)
    last = folders[1::2]
    with http_receiver("slack") as receiver:
        env = {webhook_variable("slack"): receiver.url}
        ended = [Ended(folder, "dense", muted=folder == last[3]) for folder in last]
        notify(
            ended,
            Notify(to=[target_of("slack")], link="https://reports.example.org/runs"),
            name="daily",
            remarks=("2 nights did not begin: the window ended at 06:00",),
            env=env,
        )
        (payload,) = receiver.payloads
    assert payload["text"] == "daily: 1 failed, 1 recovered, 1 as before"
    text = "\n".join(block["text"]["text"] for block in payload["blocks"])
    assert "a: FAIL" in text
    assert "c: RECOVERED" in text
    assert "b: " not in text
    assert "d: " not in text  # muted
    assert "2 nights did not begin" in text
    assert text.count("<@U012AB3CD>") == 1
    assert "<https://reports.example.org/runs/|all nights>" in text


def test_a_suite_of_which_nothing_ran_is_news(runs):
    with http_receiver("slack") as receiver:
        env = {webhook_variable("slack"): receiver.url}
        remarks = ("no host of the cluster answered",)
        (delivery,) = tell([], target_of("slack"), env=env, name="daily", remarks=remarks)
        assert delivery.outcome == "sent"
        assert receiver.payloads[0]["text"] == "daily: nothing ran"


def test_a_night_without_a_record_is_a_line(runs, tmp_path):
    (good,) = runs(run_of(0))
    with http_receiver("slack") as receiver:
        env = {webhook_variable("slack"): receiver.url}
        tell([good, tmp_path / "gone"], target_of("slack"), env=env, name="daily")
        assert "gone: " in json.dumps(receiver.payloads)


def test_a_damaged_history_is_a_line_and_the_night_is_told(runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    (bad.parent / "history.db").write_bytes(b"no database" * 100)
    with http_receiver("slack") as receiver:
        env = {webhook_variable("slack"): receiver.url}
        (delivery,) = tell([bad], target_of("slack"), env=env)
        assert delivery.outcome == "sent"
        text = json.dumps(receiver.payloads)
        assert "acc accuracy" in text
        assert "history: " in text


def test_a_template_of_the_suite_and_one_that_is_wrong(runs, tmp_path):
    (bad,) = runs(run_of(0, outcome="fail"))
    (tmp_path / "own.j2").write_text("by the template: {{ nights[0].cause }}", "utf-8")
    (tmp_path / "bad.j2").write_text("{{ nonesuch }}", "utf-8")
    given = {"suite_file": str(tmp_path / "daily.yaml")}
    with http_receiver("slack") as receiver:
        env = {webhook_variable("slack"): receiver.url}
        tell([bad], target_of("slack", template="own.j2"), env=env, **given)
        assert "by the template: acc accuracy" in json.dumps(receiver.payloads[-1])
        (delivery,) = tell(
            [bad], target_of("slack", template="bad.j2", always=True), env=env, **given
        )
        assert delivery.outcome == "sent"
        assert "'nonesuch' is undefined" in delivery.note
        assert "acc accuracy" in json.dumps(receiver.payloads[-1])


def test_a_secret_is_found_in_no_payload_and_no_note(runs, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", SECRET)
    texts = {
        "cause": {"kind": "NotReady", "message": f"HF_TOKEN={SECRET} {TOKEN}", "process": "s"}
        | {"tail": [f"curl {TOKEN}", f"export X={SECRET}"]},
        "command": f"HF_TOKEN={SECRET} inv nightly --config x.yaml --key {TOKEN}",
        "case": f"model-{SECRET}",
        "user": SECRET,
    }
    run = run_of(0, outcome="unknown")
    checks = [vars(check("unknown", f"acc {TOKEN}", f"bad {SECRET}"))]
    tree = run.model_dump(mode="json") | texts | {"checks": checks, "id": "r1"}
    folder = stored(runs(run_of(5))[0].parent, as_run(tree))
    for service in WEBHOOKS:
        with http_receiver(service) as receiver:
            env = {webhook_variable(service): receiver.url, "HF_TOKEN": SECRET}
            receiver.answers = [(400, {}, f"refused {TOKEN} {SECRET}".encode())]
            tell([folder], target_of(service), env=env, remarks=(f"r {SECRET} {TOKEN}",))
            tell([folder], target_of(service), env=env, remarks=(f"r {SECRET} {TOKEN}",))
            for _, headers, body in receiver.requests:
                assert SECRET.encode() not in body
                assert TOKEN.encode() not in body
                assert SECRET not in json.dumps(headers)
    assert SECRET not in (folder / FILE).read_text("utf-8")


def test_a_secret_that_is_a_word_of_a_service_breaks_no_payload(runs):
    (bad,) = runs(run_of(0, outcome="fail"))
    with http_receiver("wecom") as receiver:
        env = {webhook_variable("wecom"): receiver.url, "OWN_PASSWORD": "markdown"}
        tell([bad], target_of("wecom"), env=env)
        assert receiver.payloads[0]["msgtype"] == "markdown"


def test_a_message_that_cannot_be_written_is_a_note(runs, monkeypatch):
    (bad,) = runs(run_of(0, outcome="fail"))

    def broken(*_):
        raise RuntimeError(f"no {SECRET}")

    monkeypatch.setattr(sending, "fitted", broken)
    env = {webhook_variable("slack"): "http://127.0.0.1:1/", "HF_TOKEN": SECRET}
    (delivery,) = tell([bad], target_of("slack"), env=env)
    assert (delivery.outcome, delivery.note) == (
        "failed",
        "cannot be written: RuntimeError: no ***",
    )


def test_a_dry_run_sends_and_writes_nothing(runs):
    first, second = runs(*nights("pass", "pass"))
    with http_receiver("slack") as receiver:
        env = {webhook_variable("slack"): receiver.url}
        (shown,) = tell([first], target_of("slack"), env=env, dry_run=True)
        (quiet,) = tell([second], target_of("slack"), env=env, dry_run=True)
        (unset,) = tell([first], target_of("slack"), env={}, dry_run=True)
        assert receiver.requests == []
    assert [each.outcome for each in (shown, quiet, unset)] == ["shown", "quiet", "shown"]
    assert "first night" in shown.payload
    assert "is not set" in unset.note
    assert not (first / FILE).exists()
