"""Small datasets of our own in the forms that AISBench reads, and the replies to them."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import struct
import subprocess
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from answer_server import Question

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

ITEMS = 10
NUMBERS = range(100, 100 + ITEMS)
# GPQA's options are rotated by the number of the item, from 1 on; the first one is right.
ROTATED = "ADCB"
NAMES = """
import importlib, sys
sys.modules["transformers.pipelines"] = None
module = "ais_bench.benchmark.configs.datasets." + sys.argv[1].replace("/", ".")
found = [v for k, v in vars(importlib.import_module(module)).items() if k.endswith("_datasets")]
print(*[entry["name"] for entries in found for entry in entries])
"""


@dataclass(frozen=True)
class Form:
    """A form: the dataset_conf, the function that writes it, and where it may be put.

    Attributes:
        dataset_path: as a case has it.
        write: writes the dataset into a folder, and returns what the server has to know.
    """

    dataset_conf: str
    dataset_path: str
    write: Callable[[Path], tuple[Question, ...]]


def lines(path: Path, rows: Iterable[object]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")


def sheet(path: Path, rows: Iterable[Sequence[object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)


def asked(number: int) -> str:
    return f"Ada has {number} pens and buys 7. How many?"


def counted() -> tuple[Question, ...]:
    return tuple(Question(asked(number), str(number + 7)) for number in NUMBERS)


def gsm8k(folder: Path) -> tuple[Question, ...]:
    rows = [{"question": asked(n), "answer": f"Add.\n#### {n + 7}"} for n in NUMBERS]
    lines(folder / "test.jsonl", rows)
    return counted()


def aime2024(folder: Path) -> tuple[Question, ...]:
    rows = [{"origin_prompt": asked(n), "gold_answer": str(n + 7)} for n in NUMBERS]
    lines(folder / "aime2024.jsonl", rows)  # the copies in use have this name, AISBench another
    return counted()


def aime(name: str, key: str = "question") -> Callable[[Path], tuple[Question, ...]]:
    def write(folder: Path) -> tuple[Question, ...]:
        lines(folder / name, [{key: asked(n), "answer": str(n + 7)} for n in NUMBERS])
        return counted()

    return write


def gpqa(folder: Path) -> tuple[Question, ...]:
    rows = [["", *[""] * 6, asked(n), n + 7, n + 8, n + 9, n + 10, ""] for n in NUMBERS]
    sheet(folder / "gpqa_diamond.csv", [["id", *[""] * 6, "Question", *"1234", ""], *rows])
    letters = [ROTATED[at % 4] for at in range(1, ITEMS + 1)]
    wrong = {"A": "B", "B": "C", "C": "D", "D": "A"}
    return tuple(
        Question(asked(n), replies=(f"Answer: {right}", f"Answer: {wrong[right]}"))
        for n, right in zip(NUMBERS, letters, strict=True)
    )


def math500(folder: Path) -> tuple[Question, ...]:
    rows = [{"problem": asked(n), "solution": str(n + 7)} for n in NUMBERS]
    lines(folder / "test_prm800k_500.jsonl", rows)
    return counted()


def subjects(conf: str) -> list[str]:
    """Return the names of the sets of a configuration, as AISBench itself has them."""
    found = subprocess.run(
        [f"{os.environ['LAMPLIGHTER_TEST_AISBENCH_BIN']}/python", "-c", NAMES, conf],
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.splitlines()[-1].split()


# A text whose last option counts, and one whose first capital letter does.
LAST, FIRST = ("Let us think. A is no pen.\nAnswer: B", "Answer: D"), ("B", "D")


def choices(
    folder: Path,
    names: list[str],
    splits: Sequence[str],
    head: Sequence[str],
    replies: tuple[str, str],
) -> tuple[Question, ...]:
    """Write one question per subject, each with B as its answer, and five examples in `dev`."""
    questions = []
    for name in names:
        text = f"Which pen of {name} is right?"
        for split in splits:
            shots = [f"Which ink of {name} is right, {at}?" for at in range(5)]
            rows = [
                [each, "red", "blue", "green", "black", "B"]
                for each in (shots if split == "dev" else [text])
            ]
            full = [head, *([str(at), *row, ""] for at, row in enumerate(rows))]
            sheet(folder / split / f"{name}_{split}.csv", full if head else rows)
        questions.append(Question(text, replies=replies))
    return tuple(questions)


def mmlu(replies: tuple[str, str]) -> Callable[[Path], tuple[Question, ...]]:
    def write(folder: Path) -> tuple[Question, ...]:
        names = subjects("mmlu/mmlu_gen_0_shot_cot_chat_prompt")
        return choices(folder, names, ("dev", "test"), (), replies)

    return write


def ceval(replies: tuple[str, str]) -> Callable[[Path], tuple[Question, ...]]:
    def write(folder: Path) -> tuple[Question, ...]:
        names = subjects("ceval/ceval_gen_0_shot_cot_chat_prompt")
        head = ("id", "question", *"ABCD", "answer", "explanation")
        return choices(folder / "formal_ceval", names, ("dev", "val", "test"), head, replies)

    return write


def boolq(folder: Path) -> tuple[Question, ...]:
    rows = [{"question": asked(n), "passage": "Pens.", "label": "true"} for n in NUMBERS]
    lines(folder / "BoolQ" / "val.jsonl", rows)
    return tuple(Question(asked(n), replies=("ANSWER: A", "ANSWER: B")) for n in NUMBERS)


def humaneval(folder: Path) -> tuple[Question, ...]:
    rows = []
    for n in NUMBERS:
        prompt = f'def add{n}(pens):\n    """Add {n} pens."""\n'
        test = f"def check(candidate):\n    assert candidate(7) == {n + 7}\n"
        row = {"task_id": f"Own/{n}", "prompt": prompt, "entry_point": f"add{n}", "test": test}
        rows.append(row | {"canonical_solution": f"    return pens + {n}\n"})
    lines(folder / "human-eval-v2-20210705.jsonl", rows)
    body = "```python\ndef add{0}(pens):\n    return pens + {1}\n```"
    return tuple(
        Question(f"def add{n}(", replies=(body.format(n, n), body.format(n, n + 1)))
        for n in NUMBERS
    )


# Instruction, its arguments, a reply that follows it, and one that does not.
INSTRUCTIONS: tuple[tuple[str, dict[str, object], tuple[str, str]], ...] = (
    ("punctuation:no_comma", {}, ("many pens", "pens, pens")),
    (
        "length_constraints:number_sentences",
        {"num_sentences": 2, "relation": "less than"},
        ("Many pens are here.", "Many pens are here. Few pens are there. No pen is red."),
    ),
    (
        "language:response_language",
        {"language": "de"},
        (
            "Das sind sehr viele Stifte auf diesem Tisch und im Schrank",
            "These are very many pens on this table and in the cupboard",
        ),
    ),
)


def ifeval(folder: Path) -> tuple[Question, ...]:
    """Write instructions of each kind that needs a package or data of its own."""
    rows, questions = [], []
    for n in NUMBERS:
        kind, arguments, replies = INSTRUCTIONS[n % len(INSTRUCTIONS)]
        row = {"key": n, "prompt": f"{asked(n)} {kind}", "instruction_id_list": [kind]}
        rows.append({**row, "kwargs": [arguments]})
        questions.append(Question(asked(n), replies=replies))
    lines(folder / "input_data.jsonl", rows)
    english = folder / "nltk_data" / "tokenizers" / "punkt_tab" / "english"
    english.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (english / name).touch()
    return tuple(questions)


def png(shade: int) -> bytes:
    """Return a grey image of 4 x 4 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    head = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes([shade] * 4) for _ in range(4)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def textvqa(folder: Path) -> tuple[Question, ...]:
    """Write images beside the questions; their paths are those of another machine."""
    rows, annotations, questions = [], [], []
    for n in NUMBERS:
        path = folder / "train_images" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n))
        text = f"Which word is on sign {n}?"
        where = f"/home/someone/data/textvqa/train_images/{n}.png"
        rows.append({"image": where, "question": text, "question_id": n, "answer": "x"})
        people = [{"answer": "stop", "answer_id": person} for person in range(10)]
        annotations.append({"question_id": n, "answers": people})
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        questions.append(Question(text, replies=("stop", "go"), image=digest))
    lines(folder / "textvqa_val.jsonl", rows)
    (folder / "textvqa_val_annotations.json").write_text(json.dumps({"annotations": annotations}))
    return tuple(questions)


def mm_custom(folder: Path) -> tuple[Question, ...]:
    rows, questions = [], []
    for n in NUMBERS:
        path = folder / "images" / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(n))
        text = f"Which word is on sign {n}?"
        rows.append({"type": "image", "path": [f"images/{n}.png"], "question": text, "answer": "x"})
        questions.append(Question(text, replies=("stop", "go"), image=""))
    lines(folder / "mm_custom.jsonl", rows)
    return tuple(questions)


def longbench(folder: Path) -> tuple[Question, ...]:
    rows = [
        {"input": asked(n), "context": "Pens.", "answers": ["blue"], "length": 1, "dataset": "x"}
        for n in NUMBERS
    ]
    lines(folder / "data" / "hotpotqa.jsonl", rows)
    return tuple(Question(asked(n), replies=("blue", "red")) for n in NUMBERS)


def custom(folder: Path) -> tuple[Question, ...]:
    lines(folder / "qa.jsonl", [{"question": asked(n), "answer": "blue"} for n in NUMBERS])
    return tuple(Question(asked(n), replies=("blue", "red")) for n in NUMBERS)


def mcq(folder: Path) -> tuple[Question, ...]:
    options = {"A": "red", "B": "blue", "C": "green"}
    lines(folder / "mcq.jsonl", [{"question": asked(n), **options, "answer": "B"} for n in NUMBERS])
    return tuple(Question(asked(n), replies=("B", "A")) for n in NUMBERS)


def sharegpt(folder: Path) -> tuple[Question, ...]:
    rows = [
        {
            "id": str(n),
            "conversations": [
                {"from": "human", "value": asked(n)},
                {"from": "gpt", "value": "w1 w2 w3 w4"},
            ],
        }
        for n in NUMBERS
    ]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ShareGPT_V3_unfiltered_cleaned_split.json").write_text(json.dumps(rows))
    return tuple(Question(asked(n), replies=("w1 w2 w3 w4",) * 2) for n in NUMBERS)


def nothing(_: Path) -> tuple[Question, ...]:
    """Write nothing: the tool makes up its prompts."""
    return (Question("A", replies=("w1 w2", "w1 w2")),)


SCORED = {
    "gsm8k-lite": Form(
        "gsm8k/gsm8k_gen_0_shot_noncot_chat_prompt", "vllm-ascend/gsm8k-lite", gsm8k
    ),
    "gsm8k-4-shot": Form("gsm8k/gsm8k_gen_4_shot_cot_chat_prompt", "own/gsm8k-four", gsm8k),
    "aime2024": Form("aime2024/aime2024_gen_0_shot_chat_prompt", "own/AIME-2024", aime2024),
    "aime2025": Form(
        "aime2025/aime2025_gen_0_shot_chat_prompt", "vllm-ascend/aime2025", aime("aime2025.jsonl")
    ),
    "aime2026": Form(
        "aime2026/aime2026_gen_0_shot_chat_prompt", "own/AIME_2026", aime("test.jsonl", "problem")
    ),
    "gpqa": Form("gpqa/gpqa_gen_0_shot_cot_chat_prompt", "vllm-ascend/gpqa", gpqa),
    "math500": Form("math/math500_gen_0_shot_cot_chat_prompt", "own/math500", math500),
    "mmlu": Form("mmlu/mmlu_gen_0_shot_cot_chat_prompt", "own/mmlu", mmlu(LAST)),
    "mmlu-5-shot": Form("mmlu/mmlu_gen_5_shot_str", "own/mmlu", mmlu(FIRST)),
    "ceval": Form("ceval/ceval_gen_0_shot_cot_chat_prompt", "own/ceval", ceval(LAST)),
    "ceval-noncot": Form("ceval/ceval_gen_0_shot_noncot_chat_prompt", "own/ceval", ceval(LAST)),
    "ceval-str": Form("ceval/ceval_gen_0_shot_str", "own/ceval", ceval(FIRST)),
    "ceval-5-shot": Form("ceval/ceval_gen_5_shot_str", "own/ceval", ceval(FIRST)),
    "boolq": Form("SuperGLUE_BoolQ/SuperGLUE_BoolQ_gen_0_shot_cot_str", "own/SuperGLUE", boolq),
    "humaneval": Form("humaneval/humaneval_gen_0_shot", "own/humaneval", humaneval),
    "ifeval": Form("ifeval/ifeval_0_shot_gen_str", "own/ifeval", ifeval),
    "textvqa": Form("textvqa/textvqa_gen_base64", "vllm-ascend/textvqa-lite", textvqa),
    "longbench": Form(
        "longbench/longbenchhotpotqa/longbench_hotpotqa_gen", "own/LongBench", longbench
    ),
    "custom": Form("custom/custom_qa_gen", "own/questions", custom),
    "mcq": Form("custom/custom_mcq_gen", "own/choices", mcq),
}
TIMED = {
    "gsm8k": Form("gsm8k/gsm8k_gen_0_shot_cot_str_perf", "own/gsm8k", gsm8k),
    "textvqa": Form("textvqa/textvqa_gen_base64", "vllm-ascend/textvqa-perf-1080p", textvqa),
    "sharegpt": Form("sharegpt/sharegpt_gen", "own/sharegpt", sharegpt),
    "synthetic": Form("synthetic/synthetic_gen_string", "synthetic", nothing),
    "synthetic-tokens": Form("synthetic/synthetic_gen_tokenid", "synthetic", nothing),
}
