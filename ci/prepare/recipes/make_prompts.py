"""Make prompts with an exact number of tokens, a part of which all prompts have in common.

Runs on a host, in the environment of an evaluation tool. The same tokenizer, source and numbers
give the same prompts. They are kept in a folder whose name says how they were made, to which a link
is made. The last line of the output is the description, as JSON.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import json
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any, Callable, List

VOCABULARIES = ("tokenizer.json", "tokenizer.model", "tiktoken.model", "vocab.json", "merges.txt")
VERSION = 1  # raise it after any change of the prompts
BATCH = 16
# Words that are one token each in almost every vocabulary, for the last tokens of a prompt.
FILLERS = (" a", " the", " 1", " of", "a", " w1", ".", "!", "\n")
LEADS = ("", "\n", " ", ". ", "; ")
CONTEXT_CHARS = 400  # what stands further before a word does not change its tokens


Encoder = Callable[[List[str]], List[List[int]]]


class Tokenizer:
    """The served model's tokenizer: `tokenizer.json` if it has one, else transformers'."""

    def __init__(self, folder: Path, *, trust_remote_code: bool) -> None:
        fast, trusted = folder / "tokenizer.json", trust_remote_code
        self.encode_all = self._fast(fast) if fast.is_file() else self._slow(folder, trusted)

    def _fast(self, path: Path) -> Encoder:
        tokenizers = importlib.import_module("tokenizers")
        tokenizer = tokenizers.Tokenizer.from_file(str(path))
        tokenizer.no_truncation()
        tokenizer.no_padding()
        return lambda texts: [
            found.ids for found in tokenizer.encode_batch(texts, add_special_tokens=False)
        ]

    def _slow(self, folder: Path, trust_remote_code: bool) -> Encoder:  # noqa: FBT001 - private
        auto = importlib.import_module("transformers").AutoTokenizer
        tokenizer = auto.from_pretrained(str(folder), trust_remote_code=trust_remote_code)
        return lambda texts: [tokenizer.encode(text, add_special_tokens=False) for text in texts]

    def count(self, text: str) -> int:
        """Return the number of tokens of a text."""
        return len(self.encode_all([text])[0])


class Text:
    """A text that grows behind another text; its tokens are counted where it stands."""

    def __init__(self, tokenizer: Tokenizer, before: str, tokens: int) -> None:
        self.tokenizer, self.tokens = tokenizer, tokens
        self.context = before[-CONTEXT_CHARS:]
        self.known = tokenizer.count(self.context)
        self.text = ""

    def begin(self, words: str) -> None:
        """Add the first words, apart from the text in front: together they may be other tokens."""
        before = self.tokenizer.encode_all([self.context])[0]
        for lead in LEADS:
            whole = self.tokenizer.encode_all([self.context + lead + words])[0]
            if whole[: len(before)] == before and self.left(lead + words) >= 0:
                self.text = lead + words
                return

    def left(self, more: str = "") -> int:
        """Return how many tokens are missing if `more` is added."""
        whole = self.context + self.text + more
        return self.tokens - (self.tokenizer.count(whole) - self.known)

    def add_questions(self, texts: list[str], counts: list[int], start: int) -> int:
        """Add whole questions; return the index of the next.

        The sum of their own tokens is only an estimate.
        """
        at, taken, left = start, [], self.left()
        while True:
            while left > counts[at % len(counts)]:
                taken.append(texts[at % len(texts)])
                left -= counts[at % len(counts)]
                at += 1
            left = self.left("".join(taken))
            while left < 0:
                taken.pop()
                at -= 1
                left += counts[at % len(counts)]
            if self.left("".join(taken)) >= 0:
                self.text += "".join(taken)
                return at

    def add_words(self, question: str) -> None:
        """Add words of a question while they fit."""
        tail = (self.context + self.text)[-CONTEXT_CHARS:]
        words, base, left = question.split(" "), self.tokenizer.count(tail), self.left()
        low, high = 0, len(words)
        while low < high:
            middle = (low + high + 1) // 2
            if self.tokenizer.count(tail + " ".join(words[:middle])) - base <= left:
                low = middle
            else:
                high = middle - 1
        self.text += " ".join(words[:low])

    def fill(self) -> str:
        """Add the last tokens, and return the whole text."""
        for filler in FILLERS:
            added = ""
            for _ in range(8):
                left = self.left(added)
                if left <= 0:
                    break
                added += filler * left
            if self.left(added) == 0:
                return self.text + added
        raise ValueError(f"no text of exactly {self.tokens} tokens was found")


class Prompts:
    """Writes text of an exact number of tokens from the source's questions."""

    def __init__(self, tokenizer: Tokenizer, rows: list[dict[str, str]]) -> None:
        self.tokenizer = tokenizer
        self.texts = [f"{row['question']}\n{row['answer']}\n\n" for row in rows]
        self.counts = [len(ids) for ids in tokenizer.encode_all(self.texts)]

    def extend(self, before: str, begin: str, tokens: int, start: int) -> str:
        """Return a text that adds exactly `tokens` tokens to `before`.

        Args:
            before: the text in front of it.
            begin: its first words.
            tokens: the number of tokens.
            start: index of the first question.
        """
        text = Text(self.tokenizer, before, tokens)
        text.begin(begin)
        at = text.add_questions(self.texts, self.counts, start)
        text.add_words(self.texts[at % len(self.texts)])
        return text.fill()

    def make(self, tokens: int, prefix: int, items: int) -> list[str]:
        """Make the prompts, and verify each with the tokenizer."""
        shared = self.extend("", "", prefix, 0) if prefix else ""
        start = len(self.texts) // 2
        made = [
            shared + self.extend(shared, f"{item + 1}. ", tokens - prefix, start + 7 * item)
            for item in range(items)
        ]
        head = self.tokenizer.encode_all([shared])[0]
        for first in range(0, items, BATCH):
            part = self.tokenizer.encode_all(made[first : first + BATCH])
            for at, ids in enumerate(part, first + 1):
                if len(ids) != tokens or ids[:prefix] != head:
                    raise ValueError(
                        f"prompt {at} has {len(ids)} tokens, expected {tokens} with the first "
                        f"{prefix} in common"
                    )
        return made


def digest(*paths: Path) -> str:
    """Return a digest of the files that exist."""
    whole = hashlib.sha256()
    for path in paths:
        if path.is_file():
            whole.update(path.read_bytes())
    return whole.hexdigest()[:8]


def description(arguments: argparse.Namespace) -> dict[str, Any]:
    """Describe what is made; its folder's name comes from this."""
    files = [arguments.tokenizer / name for name in VOCABULARIES]
    if not any(path.is_file() for path in files):
        raise ValueError(
            f"{arguments.tokenizer} has no tokenizer ({', '.join(VOCABULARIES)}); set model_path "
            "of the benchmark to a folder with the served model's tokenizer"
        )
    return {
        "name": arguments.name,
        "tokens": arguments.tokens,
        "prefix_tokens": arguments.prefix,
        "items": arguments.items,
        "tokenizer": digest(*files),
        "source": digest(arguments.source),
        "maker": VERSION,
    }


def keep(folder: Path, made: list[str], rows: list[dict[str, str]], what: dict[str, Any]) -> None:
    """Write the prompts in GSM8K's form; another run may have been faster."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=".partial-", dir=folder.parent))
    try:
        for name, prompts in (("test.jsonl", made), ("train.jsonl", made[:1])):
            with (partial / name).open("w", encoding="utf-8") as file:
                for at, prompt in enumerate(prompts):
                    row = {"question": prompt, "answer": rows[at % len(rows)]["answer"]}
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
        (partial / "made.json").write_text(json.dumps(what), encoding="utf-8")
        partial.chmod(0o755)
        if not folder.is_dir():
            partial.rename(folder)
    finally:
        shutil.rmtree(str(partial), ignore_errors=True)


def main() -> None:
    """Make the prompts that the command line asks for, unless they are kept already."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--name", required=True)
    for name in ("--tokenizer", "--source", "--cache", "--link"):
        needed = name != "--link"
        parser.add_argument(name, required=needed, type=lambda text: Path(text).expanduser())
    for name in ("--tokens", "--prefix", "--items"):
        parser.add_argument(name, required=True, type=int)
    parser.add_argument("--trust-remote-code", action="store_true")
    arguments = parser.parse_args()
    what = description(arguments)
    numbers = "{items}x{tokens}-{prefix_tokens}--{tokenizer}-{source}-v{maker}".format(**what)
    folder = arguments.cache / f"{arguments.name}--{numbers}"
    if not (folder / "made.json").is_file():
        lines = arguments.source.read_text(encoding="utf-8").split("\n")
        rows = [json.loads(line) for line in lines if line.strip()]
        trusted = arguments.trust_remote_code
        prompts = Prompts(Tokenizer(arguments.tokenizer, trust_remote_code=trusted), rows)
        made = prompts.make(arguments.tokens, arguments.prefix, arguments.items)
        keep(folder, made, rows, what)
    if arguments.link:
        if arguments.link.is_symlink():
            arguments.link.unlink()
        arguments.link.symlink_to(folder.absolute())
    print(json.dumps({**what, "path": str(folder)}))


if __name__ == "__main__":
    try:
        main()
    except (ImportError, KeyError, OSError, ValueError) as error:
        sys.exit(f"the prompts cannot be made: {error}")
