"""The tests of `test_content`: requests and expectations as vllm-ascend's runner has them."""

import pytest
import yaml
from corpus import CORPUS, needs_corpus

from ci.case.load import load, parse
from ci.case.model import Expected
from ci.errors import CaseError


def text_of(**keys):
    base = {"name": "a", "model": "org/m", "device": "cpu"}
    base["server_cmd"] = ["--port", "$SERVER_PORT", "--max-model-len", "4096"]
    return yaml.safe_dump({"test_cases": [{**base, **keys}]}).encode()


def content(**keys):
    (case,) = parse(text_of(**keys), "night.yaml")
    return case.content


def message(text):
    return [{"role": "user", "content": text}]


def image(url):
    return {"type": "image_url", "image_url": {"url": url}}


def test_without_such_kinds_there_are_none():
    assert content() == ()
    assert content(test_content=["completion", "benchmark_comparisons"], prompts=["x"]) == ()
    assert content(test_content=[]) == ()


def test_each_prompt_is_a_chat_with_its_own_arguments():
    first, second = content(
        test_content=["chat_completion"],
        prompts=["Hi", "Bye"],
        api_keyword_args=[{"max_tokens": 3, "stream": True}, {"top_k": 1}],
    )
    assert (first.name, first.kind, first.expected) == ("chat_completion", "chat", Expected())
    assert first.body == {"messages": message("Hi"), "max_tokens": 3}
    assert (second.name, second.body) == (
        "chat_completion 1",
        {"messages": message("Bye"), "top_k": 1},
    )


def test_what_chats_have_to_be():
    answers = [{"prompt_tokens": 5, "content_contains": "4"}, {"completion_tokens": 7}]
    first, second = content(
        test_content=["chat_completion"],
        prompts=["Hi", "Bye"],
        api_keyword_args={"max_tokens": 99},
        expected_response={"per_prompt": answers},
    )
    assert first.expected == Expected(prompt_tokens=5, contains=("4",), max_tokens=4096)
    assert second.expected == Expected(completion_tokens=7, max_tokens=4096)
    assert (second.body["max_tokens"], second.body["min_tokens"]) == (7, 7)
    assert first.body["max_tokens"] == 99


def test_messages_are_streamed_if_their_arguments_say_so():
    first, second = content(
        test_content=["messages"],
        prompts=["Hi", "Count"],
        api_keyword_args=[{"tools": [{"name": "t"}]}, {"max_tokens": 50, "stream": True}],
    )
    assert (first.name, first.kind) == ("messages", "messages")
    assert first.body == {"messages": message("Hi"), "max_tokens": 100, "tools": [{"name": "t"}]}
    assert second.body == {"messages": message("Count"), "max_tokens": 50, "stream": True}


def test_without_prompts_one_is_made_up():
    (test,) = content(test_content=["messages"])
    assert test.body["messages"] == message("Hello!")


def test_processes_are_counted():
    (test,) = content(test_content=["check_rank0_process_count"])
    assert (test.name, test.kind) == ("check_rank0_process_count", "process_count")


USUAL = "vllm-ascend/mm_request"
PICTURES = {
    "none named": ({}, (USUAL,), ["{IMAGE_0}"]),
    "one": ({"image_path": "/a.png"}, ("/a.png",), ["{IMAGE_0}"]),
    "several": (
        {"images": ["b.png", None], "image_path": "/a.png"},
        ("b.png", "/a.png"),
        ["{IMAGE_0}", "{IMAGE_1}"],
    ),
    "messages": (
        {
            "images": ["x", "y"],
            "messages": [
                {
                    "content": [
                        {"type": "text", "text": "compare"},
                        image("{IMAGE_1}"),
                        image("http://h/p.png"),
                        image("data:image/png;base64,AA"),
                        image("file:///own.png"),
                        image(""),
                        image(None),
                    ]
                }
            ],
        },
        ("x", "y", "file:///own.png"),
        [
            "{IMAGE_1}",
            "http://h/p.png",
            "data:image/png;base64,AA",
            "{IMAGE_2}",
            "{IMAGE_0}",
            "{IMAGE_1}",
        ],
    ),
    "none of ours": (
        {"images": ["x"], "messages": [{"content": [image("https://h/p.png")]}]},
        (),
        ["https://h/p.png"],
    ),
}


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_put_where_the_messages_have_them(name):
    request, pictures, urls = PICTURES[name]
    (test,) = content(test_content=["image"], mm_request=request)
    assert (test.name, test.kind, test.pictures) == ("image", "chat", pictures)
    parts = test.body["messages"][0]["content"]
    assert test.body["messages"][0]["role"] == "user"
    assert [part["image_url"]["url"] for part in parts if part["type"] == "image_url"] == urls


def test_the_arguments_of_pictures_have_the_runners_defaults():
    (test,) = content(
        test_content=["image"],
        mm_request={"api_args": {"max_tokens": 5, "stream": True}},
        expected_response={"status_code": 200, "assert_not_empty": False, "max_length": 9},
    )
    rest = {key: value for key, value in test.body.items() if key != "messages"}
    defaults = {"eos_token_id": [1, 106], "pad_token_id": 0, "top_k": 64, "top_p": 0.95}
    assert rest == {**defaults, "max_tokens": 5}
    assert test.expected == Expected(not_empty=False, max_chars=9)


INVALID = {
    "a list for completions": (
        {"test_content": ["completion"], "prompts": ["x"], "api_keyword_args": [{}]},
        ("api_keyword_args", "has to be a mapping; a list is for chat_completion and messages"),
    ),
    "too few arguments": (
        {"test_content": ["messages"], "prompts": ["x", "y"], "api_keyword_args": [{}]},
        ("api_keyword_args", "has 1 entry for 2 prompts"),
    ),
    "too many expectations": (
        {"test_content": ["chat_completion"], "expected_response": {"per_prompt": [{}, {}]}},
        ("expected_response.per_prompt", "has 2 entries for 1 prompt"),
    ),
    "unknown expectation": (
        {"test_content": ["image"], "expected_response": {"min_lenght": 1}},
        ("expected_response.min_lenght", "did you mean 'min_length'?"),
    ),
    "unknown key of a request": (
        {"test_content": ["image"], "mm_request": {"image": []}},
        ("mm_request.image", "did you mean 'images'?"),
    ),
    "unknown picture": (
        {
            "test_content": ["image"],
            "mm_request": {"images": ["x"], "messages": [{"content": [image("{IMAGE_1}")]}]},
        },
        ("mm_request.messages", "{IMAGE_1}: there is no such entry in 'images', which has 1"),
    ),
    "more images than pictures": (
        {"mm_request": {"images": ["x"], "messages": [{"content": [image(""), image("")]}]}},
        ("mm_request.messages", "has more images without a URL than 'images' has entries, 1"),
    ),
}


@pytest.mark.parametrize("name", INVALID)
def test_invalid(name):
    keys, (key, words) = INVALID[name]
    with pytest.raises(CaseError) as caught:
        content(**keys)
    (problem,) = caught.value.problems
    assert problem.key == f"test_cases[0].{key}"
    assert words in problem.message


@needs_corpus
def test_vllm_ascends_own_file_with_pictures_and_messages():
    path = CORPUS / "weekly/single_node/Qwen3.5-27B-w8a8-A3.yaml"
    tests = {test.name: test for case in load(path) for test in case.content}
    assert list(tests) == ["image", "messages", "messages 1", "messages 2"]
    assert tests["image"].pictures == (USUAL,)
    assert tests["messages 2"].body["stream"] is True
