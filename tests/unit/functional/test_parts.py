"""Tables for the small pure parts: errors, references, comparison, deviations, capabilities."""

from __future__ import annotations

import json

import pytest
from functional.captured import SERVER, case_of, reply_of, request_of

from ci.errors import CaseError, UserError
from ci.functional.answer import read_body
from ci.functional.capabilities import missing, of_command_line, of_variable
from ci.functional.client import Endpoint, root_of
from ci.functional.compare import difference, same_answer
from ci.functional.errors import error_rules
from ci.functional.expectations import check_expectations
from ci.functional.known import Deviation, Known, known_of, load_known
from ci.functional.proof import Proof, shown
from ci.functional.read_stream import read_stream
from ci.functional.references import UnknownReferenceError, references, substitute
from ci.functional.reply import Call, Reply
from ci.functional.report import curl, printable
from ci.functional.run_case import ABSENT, call_of
from ci.functional.suite import Expect
from ci.paths import CONFIGS

ERROR = {"message": "temperature must be at least 0", "type": "BadRequestError", "param": "t"}


def failed(proof):
    return [assertion.name for assertion in proof.failed]


def error_of(body, status=400, form="application/json", **expect):
    proof = Proof()
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = Reply(status, {"content-type": form}, ((0.0, data),), 0.0)
    error_rules(Expect.model_validate(expect), reply, proof)
    return failed(proof)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (({"error": {**ERROR, "code": 400}},), []),
        (({"error": {**ERROR, "code": None}},), []),
        (({"error": {**ERROR, "code": "invalid"}},), []),
        (({"error": {**ERROR, "code": 404}}, 404), []),
        (({"error": {**ERROR, "code": 500}},), ["error.code is the status"]),
        (({"error": ERROR},), ["error.param and error.code are there"]),
        (({"error": {**ERROR, "code": 400, "message": ""}},), ["error.message"]),
        (({"error": {**ERROR, "code": 400, "type": 5}},), ["error.type"]),
        (({"error": "text"},), ["the error is in `error`"]),
        (({"object": "error", **ERROR, "code": 400},), ["the error is in `error`"]),
        (([],), ["the error is in `error`"]),
        ((b"Bad Request", 400, "text/plain"), ["content-type"]),
        ((b"Bad Request",), ["the error is JSON"]),
        (({"error": {**ERROR, "code": 200}}, 200), ["status"]),
        (({"error": {**ERROR, "code": 500}}, 500), ["status"]),
    ],
)
def test_an_error_has_openai_s_shape(arguments, expected):
    assert error_of(*arguments) == expected


def test_an_error_says_what_the_case_expects():
    body = {"error": {**ERROR, "code": 400}}
    assert error_of(body, status=400, error="temperature") == []
    assert error_of(body, error="top_p") == ["error.message"]
    proof = Proof()
    reply = Reply(400, {"content-type": "application/json"}, ((0.0, b"{}"),), 0.0)
    error_rules(Expect(status=[404]), reply, proof)
    assert failed(proof) == ["status"]


KNOWN = {"token:a": 5, "tokens:{}": [1, 2], "eos": 0, "index": 3, "any:x": []}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("plain", "plain"),
        ("${token:a}", 5),
        ("${tokens:{}}", [1, 2]),
        ("number ${index}, ${eos}", "number 3, 0"),
        ({"${token:a}": 1}, {"5": 1}),
        ({"${tokens:{}}": 1}, {"1": 1, "2": 1}),
        ({"${any:x}": 1}, {}),
        ([{"a": ["${index}"]}], [{"a": [3]}]),
        (7, 7),
        (None, None),
        ("$5 and {braces}", "$5 and {braces}"),
    ],
)
def test_references_are_replaced(value, expected):
    assert substitute(value, KNOWN) == expected


@pytest.mark.parametrize(
    ("window", "count"), [(0, 120), (100_000, 120), (960, 120), (256, 32), (7, 1)]
)
def test_numbers_fit_the_window(window, count):
    text = substitute("${numbers:998},", {"window": window})
    numbers = [int(number) for number in text.rstrip(",").split(", ")]
    assert numbers == list(range(998, 998 + count))


def test_a_reference_without_a_value_is_an_error():
    with pytest.raises(UnknownReferenceError, match="no value for \\$\\{window\\}"):
        substitute("${window}", KNOWN)


def test_references_are_found_in_keys_and_values():
    value = {"${eos}": ["${token:a b}", {"x": "${index} of ${window}"}], "y": "${tokens:{1}}"}
    assert list(references(value)) == ["eos", "token:a b", "index", "window", "tokens:{1}"]


def answers():
    body = read_body(reply_of("chat", stream=False).parsed())
    streamed = read_stream(reply_of("chat", stream=True).events, Proof(), chat=True)
    return body, streamed


def test_the_captured_stream_is_the_captured_body():
    proof = Proof()
    same_answer(*answers(), proof)
    assert failed(proof) == []


@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda a: setattr(a.first, "text", "Grüße 你好 🎉 ende"), "text"),
        (lambda a: setattr(a.first, "finish_reason", "length"), "finish_reason"),
        (lambda a: setattr(a.first, "stop_reason", "x"), "stop_reason"),
        (lambda a: a.first.token_ids.pop(), "token_ids"),
        (lambda a: a.first.logprobs.pop(), "logprobs: tokens"),
        (lambda a: setattr(a.first.logprobs[0], "logprob", -2.0), "logprobs: value"),
        (lambda a: setattr(a.first, "logprobs", None), "logprobs"),
        (lambda a: a.usage.update(prompt_tokens=1), "usage.prompt_tokens"),
        (lambda a: a.prompt_token_ids.pop(), "prompt_token_ids"),
        (lambda a: setattr(a, "model", "x"), "model"),
        (lambda a: a.choices.clear(), "choices"),
    ],
)
def test_a_stream_that_differs_from_its_body_fails(spoil, expected):
    body, streamed = answers()
    spoil(streamed)
    proof = Proof()
    same_answer(body, streamed, proof)
    assert expected in failed(proof)


def test_two_servers_may_spell_a_text_with_other_tokens():
    body, other = answers()
    other.first.token_ids[0] += 1
    other.first.logprobs.pop()
    other.usage.update(completion_tokens=99, total_tokens=130)
    proof = Proof()
    same_answer(body, other, proof, other_server=True)
    assert failed(proof) == []
    other.first.text += "!"
    same_answer(body, other, proof, other_server=True)
    assert "text" in failed(proof)


def test_the_first_difference_is_shown():
    text = "a" * 100
    assert difference(text + "b", text + "c").startswith("from character 100: ")
    assert difference("abc", "ab") == 'from character 2: "ab" instead of "abc"'


def expected_of(body=None, **expect):
    answer = read_body(reply_of("chat", stream=False).parsed())
    proof = Proof()
    request = body or request_of("chat", stream=False)
    check_expectations(Expect.model_validate(expect), request, answer, proof)
    return failed(proof)


@pytest.mark.parametrize(
    ("expect", "names"),
    [
        ({}, []),
        ({"text": "Grüße 你好 🎉 end"}, []),
        ({"text": "other"}, ["text"]),
        ({"text_starts": "Gr", "text_contains": ["你", "end"], "text_lacks": "x"}, []),
        ({"text_starts": "X"}, ["text starts"]),
        ({"text_contains": "X"}, ["text contains"]),
        ({"text_lacks": "end"}, ["text lacks"]),
        ({"text_matches": "Gr.*"}, []),
        ({"text_matches": "r.*"}, ["text matches"]),
        ({"finish_reason": "stop"}, []),
        ({"finish_reason": ["length"]}, ["expected finish_reason"]),
        ({"stop_reason": "x"}, ["expected stop_reason"]),
        ({"completion_tokens": {"min": 2}, "prompt_tokens": {"max": 100}}, []),
        ({"completion_tokens": 1}, ["expected completion_tokens"]),
        ({"cached_tokens": {"min": 1}}, ["expected cached_tokens"]),
        ({"parsed": {}}, ["the text is JSON"]),
        ({"satisfies": "object"}, ["the text is JSON"]),
        ({"tool_calls": []}, []),
        ({"tool_calls": [{"name": "f"}]}, ["tool calls"]),
        ({"choices_differ": True}, []),
    ],
)
def test_each_expectation(expect, names):
    assert expected_of(**expect) == names


def test_a_request_has_the_model_the_changes_and_the_stream():
    case = case_of("chat", body={"messages": [], "seed": 1, "n": 2})
    assert call_of(case, SERVER).body == {"model": "smollm2", "messages": [], "seed": 1, "n": 2}
    changed = call_of(case, SERVER, stream=True, changes={"seed": ABSENT, "n": 3}).body
    assert changed == {
        "model": "smollm2",
        "messages": [],
        "n": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["vllm", "serve", "m"], ()),
        (["--enable-auto-tool-choice"], ("chat.tool_choice.auto",)),
        (
            ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"],
            ("chat.tool_choice.auto", "chat.tool_parser.hermes"),
        ),
        (
            ["--enable_auto_tool_choice", "--tool-call-parser=hermes"],
            ("chat.tool_choice.auto", "chat.tool_parser.hermes"),
        ),
        (["--enable-auto-tool-choice", "--tool-call-parser"], ("chat.tool_choice.auto",)),
        (["--enable-prompt-tokens-details", "--api-key=x"], ("prompt_details", "api_key")),
    ],
)
def test_a_command_line_declares_capabilities(argv, expected):
    assert of_command_line(argv) == expected


def test_capabilities_of_the_environment():
    assert of_variable("chat.tools, chat.logprobs,") == ("chat.tools", "chat.logprobs")
    assert missing(["a", "b"], ["b"]) == ["a"]


def test_the_deviations_of_each_version_are_cases_of_our_suite():
    from ci.functional.load import load_suite  # noqa: PLC0415 - it reads a large file

    ids = {case.id for case in load_suite(CONFIGS / "functional" / "openai.yaml").cases}
    files = sorted((CONFIGS / "functional" / "known").glob("vllm-*.yaml"))
    assert files
    for file in files:
        deviations = load_known(file).deviations
        assert {deviation.case for deviation in deviations} <= ids, file


def test_deviations_are_found_by_version(tmp_path):
    file = tmp_path / "vllm-1.2.3.yaml"
    file.write_text('vllm: "1.2.3"\nknown: [{case: a, does: b, fails: [status]}]\n')
    known = (Deviation("a", "b", ("status",), "", "", str(file)),)
    assert known_of("1.2.3+cpu", tmp_path) == Known(known)
    assert known_of("1.2.4", tmp_path) == known_of("", tmp_path) == Known()
    file.write_text("vllm: x\none_at_a_time: batches are spoilt\nknown: []\n")
    assert known_of("1.2.3", tmp_path) == Known((), "batches are spoilt")
    file.write_text("vllm: x\nknown: [{case: a}]\n")
    with pytest.raises(CaseError, match="does: missing; what the server does instead"):
        load_known(file)


@pytest.mark.parametrize(
    ("fails", "names", "explained"),
    [
        ((), ["anything"], True),
        (("status",), ["status"], True),
        (("status",), ["status", "text"], False),
        (("stat", "text"), ["status", "text"], True),
    ],
)
def test_a_deviation_explains_only_what_it_lists(fails, names, explained):
    assert Deviation("a", "b", fails, "", "", "f").explains(names) is explained


@pytest.mark.parametrize(
    ("url", "root"),
    [
        ("http://h:8000", "http://h:8000"),
        ("http://h:8000/", "http://h:8000"),
        ("http://h:8000/v1", "http://h:8000"),
        ("https://h/v1/", "https://h"),
        ("http://[fd00::2]:8000/v1", "http://[fd00::2]:8000"),
        ("http://h/prefix/v1", "http://h/prefix"),
    ],
)
def test_the_root_of_a_base_url(url, root):
    assert root_of(url) == root


@pytest.mark.parametrize("url", ["h:8000", "ftp://h", "http://", "http://h:99999", "", "http://[x"])
def test_a_base_url_that_is_none(url):
    with pytest.raises(UserError, match=r"write e\.g\. http://"):
        root_of(url)


def test_a_curl_command_is_quoted_and_has_no_key():
    call = Call("POST", "/v1/completions", {"prompt": "it's $HOME `id`", "stream": True})
    line = curl("http://h:1", call)
    assert "-N" in line
    assert '"Authorization: Bearer $OPENAI_API_KEY"' in line
    assert """'{"prompt": "it'"'"'s $HOME `id`", "stream": true}'""" in line
    assert "Authorization" not in curl("http://h:1", Call("GET", "/health", key="none"))


def test_an_endpoint_does_not_show_its_key():
    assert "sk-secret" not in repr(Endpoint("http://h", "m", "sk-secret"))


def test_what_a_report_shows():
    assert printable("a\x1b[31mb\x00\n") == "a\ufffd[31mb\ufffd\n"
    assert str(shown("x" * 1000)).endswith("… (1000 characters)")
    assert shown([1]) == [1]
