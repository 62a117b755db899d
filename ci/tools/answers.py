"""Find the answers of items in what a tool wrote, for readers. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from ci.documents.json_text import read_json
from ci.tools.lm_eval_task import response

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

# Tool → the files that have the answers, and the right ones.
FILES: dict[str, tuple[str, ...]] = {
    "aisbench": ("out/*/predictions/*/*.jsonl", "out/*/performances/*/*_details.jsonl"),
    "evalscope": ("out/predictions/*/*.jsonl", "out/reviews/*/*.jsonl"),
    "lm_eval": ("out/*/samples_*.jsonl",),
    "vllm_bench": ("out/result.json",),
}


@dataclass(frozen=True)
class Answer:
    """The answer to an item; an empty text is one that the tool did not write.

    Attributes:
        question: the last message of the prompt.
        answer: the model's answer.
        expected: the right answer, as the data set has it.
    """

    question: str
    answer: str
    expected: str


def answers_in(tool: str, files: Mapping[str, str], dataset_conf: str = "") -> dict[str, Answer]:
    """Find the answers in a tool's files: id of the item → answer.

    Args:
        tool: its name.
        files: path below the tool's folder → text; only those in `FILES` are read.
        dataset_conf: of the benchmark; EvalScope's files of subsets begin with it.

    Returns:
        What could be found; nothing of what cannot be read is an error.
    """
    patterns = FILES.get(tool, ())
    chosen = {
        name: text
        for name, text in files.items()
        if any(fnmatchcase(name, pattern) for pattern in patterns)
    }
    return dict(_READERS[tool](chosen, dataset_conf)) if patterns else {}


def _aisbench(files: Mapping[str, str], _: str) -> Iterator[tuple[str, Answer]]:
    chosen = {name: text for name, text in files.items() if not name.endswith("_failed.jsonl")}
    for prefix, row in _by_set(chosen, "*", ""):
        prompt = row.get("origin_prompt", row.get("input"))
        answer = Answer(_question(prompt), _text(row.get("prediction")), _text(row.get("gold")))
        yield f"{prefix}{row.get('id')}", answer


def _lm_eval(files: Mapping[str, str], _: str) -> Iterator[tuple[str, Answer]]:
    # samples_TASK_TIME.jsonl
    named = {
        str(PurePosixPath(name).with_name(PurePosixPath(name).stem.rpartition("_")[0])): text
        for name, text in files.items()
    }
    for prefix, row in _by_set(named, "*", "samples_"):
        answer = Answer(_asked(row.get("arguments")), response(row), _text(row.get("target")))
        yield f"{prefix}{row.get('doc_id')}", answer


def _evalscope(files: Mapping[str, str], dataset_conf: str) -> Iterator[tuple[str, Answer]]:
    start = f"{dataset_conf}_" if dataset_conf else ""
    expected = {
        f"{prefix}{row.get('index')}": _text(row.get("target"))
        for prefix, row in _by_set(files, "out/reviews/*", start)
    }
    for prefix, row in _by_set(files, "out/predictions/*", start):
        id_ = f"{prefix}{row.get('index')}"
        asked = [
            message
            for message in _list(row.get("messages"))
            if isinstance(message, dict) and message.get("role") != "assistant"
        ]
        choice = next(iter(_list(_get(row.get("model_output"), "choices"))), None)
        answer = _text(_get(_get(choice, "message"), "content"))
        yield id_, Answer(_question(asked), answer, expected.get(id_, ""))


def _vllm_bench(files: Mapping[str, str], _: str) -> Iterator[tuple[str, Answer]]:
    for text in files.values():
        texts = _get(_json(text), "generated_texts")
        for index, answer in enumerate(_list(texts)):
            yield str(index), Answer("", _text(answer), "")


_READERS: dict[str, Callable[[Mapping[str, str], str], Iterator[tuple[str, Answer]]]] = {
    "aisbench": _aisbench,
    "evalscope": _evalscope,
    "lm_eval": _lm_eval,
    "vllm_bench": _vllm_bench,
}


def _by_set(
    files: Mapping[str, str], pattern: str, start: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the rows of all sets, each with the prefix of its items' ids: `NAME/`, if several.

    Args:
        files: path → text; each set has a file.
        pattern: of the paths.
        start: beginning of each file's name that is not part of the set's name.
    """
    chosen = {name: text for name, text in files.items() if fnmatchcase(name, pattern)}
    for name, text in sorted(chosen.items()):
        own = PurePosixPath(name).name.removesuffix(".jsonl").removeprefix(start)
        # Not `splitlines`: strings in JSON may contain other line ends, such as U+2028.
        for line in text.split("\n"):
            row = _json(line)
            if isinstance(row, dict):
                yield (f"{own}/" if len(chosen) > 1 else ""), row


def _asked(arguments: object) -> str:
    """Return the last message of lm-eval's prompt, which is JSON within JSON."""
    value = _get(_get(arguments, "gen_args_0"), "arg_0")
    text = next(iter(_list(value)), "")
    return _question(_json(text) or text if isinstance(text, str) else text)


def _question(prompt: object) -> str:
    last = prompt[-1] if isinstance(prompt, list) and prompt else prompt
    if isinstance(last, dict):
        last = last.get("content", last.get("prompt"))
    return _text(last)


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and len(value) == 1:
        return _text(value[0])
    return "" if value in (None, []) else json.dumps(value, ensure_ascii=False)


def _json(text: str) -> object:
    try:
        return read_json(text)
    except ValueError:
        return None


def _get(value: object, key: str) -> object:
    return value.get(key) if isinstance(value, dict) else None


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []
