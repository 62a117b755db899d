"""Judge answers to the requests of `test_content`, and find the pictures in them."""

import base64
import json

import pytest

from ci.case.model import ContentTest, Expected
from ci.catalog import pictures
from ci.errors import UserError
from ci.serve.content import is_server, picture_url, problem_of, run_request
from ci.tools.model import Endpoint

USAGE = {"prompt_tokens": 5, "completion_tokens": 3}


def chat(content="four", usage=USAGE, **message):
    choices = [{"message": {"role": "assistant", "content": content, **message}}]
    return json.dumps({"choices": choices, "usage": usage})


CHATS = {
    "good": (Expected(), 200, chat(), ""),
    "reasoning": (Expected(), 200, chat(None, reasoning="so"), ""),
    "a tool call": (Expected(), 200, chat(None, tool_calls=[{}]), ""),
    "empty": (Expected(), 200, chat(""), "expected a text, got an empty one"),
    "empty, as it may be": (Expected(not_empty=False), 200, chat(""), ""),
    "another status": (
        Expected(),
        500,
        "it  is\nbroken",
        "expected HTTP 200, got 500: it is broken",
    ),
    "an expected error": (Expected(status=400), 400, "{}", ""),
    "an error that is missing": (Expected(status=400), 200, "{}", "expected HTTP 400, got 200: {}"),
    "no JSON": (Expected(), 200, "oh", "the answer has no choice with a message: oh"),
    "no choices": (Expected(), 200, '{"choices": []}', "the answer has no choice"),
    "odd choices": (Expected(), 200, '{"choices": [1]}', "the answer has no choice"),
    "a word": (
        Expected(contains=("our", "five")),
        200,
        chat(),
        "expected 'five' in the text: four",
    ),
    "too short": (Expected(min_chars=5), 200, chat(), "expected 5 characters or more, got 4: four"),
    "too long": (Expected(max_chars=3), 200, chat(), "expected 3 characters at most, got 4: four"),
    "as many tokens": (Expected(prompt_tokens=5, completion_tokens=3), 200, chat(), ""),
    "other tokens": (Expected(prompt_tokens=4), 200, chat(), "expected 4 prompt_tokens, got 5"),
    "no usage": (
        Expected(completion_tokens=3),
        200,
        chat(usage=None),
        "expected 3 completion_tokens, got None",
    ),
    "too many tokens": (Expected(max_tokens=7), 200, chat(), "expected 7 tokens at most, got 8"),
}


@pytest.mark.parametrize("name", CHATS)
def test_chats(name):
    expected, status, body, problem = CHATS[name]
    test = ContentTest(name="x", kind="chat", expected=expected)
    found, tokens = problem_of(test, status, body)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)
    assert tokens in {0, 3}


def answer(*blocks, **keys):
    content = {"type": "message", "role": "assistant", "content": list(blocks)}
    return json.dumps({**content, "usage": {"output_tokens": 2}, **keys})


TEXT = {"type": "text", "text": "hi"}
STREAM = "event: message_start\n\nevent: content_block_delta\n\nevent: message_stop\n"
MESSAGES = {
    "good": ({}, answer(TEXT), ""),
    "thinking first": ({}, answer({"type": "thinking"}, TEXT), ""),
    "blank": ({}, answer({"type": "text", "text": " "}), "the answer has no text"),
    "nothing": ({}, answer(), "the answer has no text"),
    "odd": ({}, answer(content=3), "the answer has no text"),
    "a tool": ({"tools": [1]}, answer({"type": "tool_use"}), ""),
    "a tool that nobody gave": ({}, answer({"type": "tool_use"}), "the answer has no text"),
    "neither": ({"tools": [1]}, answer({"type": "x"}), "the answer has no text or tool_use"),
    "another type": ({}, answer(TEXT, type="error"), "expected type 'message', got 'error'"),
    "another role": ({}, answer(TEXT, role="user"), "expected role 'assistant', got 'user'"),
    "a stream": ({"stream": True}, STREAM, ""),
    "half a stream": ({"stream": True}, STREAM[:50], "the stream has no message_stop"),
}


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name):
    request, body, problem = MESSAGES[name]
    test = ContentTest(name="x", kind="messages", body=request)
    found, _ = problem_of(test, 200, body)
    assert found.startswith(problem)
    assert bool(found) == bool(problem)


def test_a_request_has_the_model_and_the_pictures():
    sent = []

    def ask(*request):
        sent.append(request)
        return {"status": 200, "body": chat(), "error": ""}

    part = {"type": "image_url", "image_url": {"url": "{IMAGE_1}"}}
    body = {
        "messages": [{"role": "user", "content": [part, {"type": "text", "text": "{IMAGE_0}"}]}]
    }
    test = ContentTest(name="image", kind="chat", body=body, pictures=("a", "b"))
    check = run_request(test, ask, Endpoint("h", 1, "m"), lambda name: f"data:{name}")
    assert (check.name, check.outcome, check.value) == ("image", "pass", 3)
    ((method, url, _, request),) = sent
    assert (method, url) == ("POST", "http://h:1/v1/chat/completions")
    assert request["model"] == "m"
    url, text = request["messages"][0]["content"]
    assert url["image_url"]["url"] == "data:b"
    assert text["text"] == "{IMAGE_0}"


def test_without_an_answer_the_check_is_unknown():
    test = ContentTest(name="x", kind="messages")
    check = run_request(
        test, lambda *_: {"status": None, "body": "", "error": "gone"}, Endpoint("h", 1, "m"), str
    )
    assert (check.outcome, check.value, check.reason) == ("unknown", None, "gone")


SERVERS = {
    ("/e/bin/python", "/e/bin/vllm", "serve", "m"): True,
    ("python", "-m", "vllm.entrypoints.openai.api_server"): True,
    ("/envs/vllm-1/bin/python", "-c", "from multiprocessing.spawn import spawn_main"): False,
    ("VLLM::EngineCore",): False,
    ("/envs/vllm-1/bin/python", "serve.py"): False,
}


@pytest.mark.parametrize("words", SERVERS)
def test_which_processes_are_servers(words):
    assert is_server(words) is SERVERS[words]


class Leader:
    host = "h1"

    def __init__(self, files):
        self.files = files

    def read(self, path):
        return self.files.get(path, b"")


def data(kind, content):
    return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def test_pictures_are_found_here_and_on_the_leader(tmp_path, monkeypatch):
    folder = tmp_path / "mm_request"
    folder.mkdir()
    (folder / "test_mm2.jpg").write_bytes(b"usual")
    (tmp_path / "own.png").write_bytes(b"own")
    leader = Leader({"/there/a.webp": b"there", "/set/test_mm2.jpg": b"set"})
    names = {
        "vllm-ascend/mm_request": data("jpeg", b"usual"),
        f"file://{tmp_path}/own.png": data("png", b"own"),
        str(folder): data("jpeg", b"usual"),
        "/there/a.webp": data("webp", b"there"),
        "/set": data("jpeg", b"set"),
    }
    found = {name: picture_url(name, leader, [tmp_path]) for name in names}
    assert found == names
    monkeypatch.setenv("MM_IMAGE_PATH", str(tmp_path / "own.png"))
    assert picture_url("vllm-ascend/mm_request", leader, []) == data("png", b"own")


def test_a_missing_picture_says_what_to_do(tmp_path):
    with pytest.raises(UserError, match=r"picture org/none not found: .* LAMPLIGHTER_DATASETS"):
        pictures.find("org/none", [tmp_path])
    with pytest.raises(UserError, match=r"picture /none: no such file, .*; correct the path"):
        pictures.find("/none", [tmp_path])
    assert pictures.find("/none", [tmp_path], on_host=True) is None
    with pytest.raises(UserError, match="picture /none: no such file here or on h1"):
        picture_url("/none", Leader({}), [tmp_path])
