"""Every `inv` command line in the documents is one that the tasks accept."""

from __future__ import annotations

import copy
import re
import shlex

import pytest
from invoke import Program
from invoke.parser import Parser

import tasks
from ci.commands import entry
from ci.paths import PROJECT

DOCUMENTS = [PROJECT / "README.md", PROJECT / "CONTRIBUTING.md", *PROJECT.glob("docs/*.md")]
# A command stands alone in a line of a block, after a prompt, or between backquotes.
IN_BLOCK = re.compile(r"^(?:\$ )?(inv .*?)(?:\s{2,}.*|\s*[#;|].*)?$", re.MULTILINE)
IN_TEXT = re.compile(r"`(inv [^`]*)`")


def commands_of(text: str) -> set[str]:
    blocks = re.findall(r"```.*?\n(.*?)```", text, re.DOTALL)
    rest = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    listed = [line for block in blocks for line in IN_BLOCK.findall(block.replace("\\\n", " "))]
    quoted = [" ".join(line.split()) for line in IN_TEXT.findall(rest)]
    return {line for line in (*listed, *quoted) if "…" not in line and "TASK" not in line}


COMMANDS = sorted({line for path in DOCUMENTS for line in commands_of(path.read_text("utf-8"))})


def test_the_documents_have_commands():
    assert {"inv nightly --config local.yaml", "inv down --run RUN"} <= set(COMMANDS)


@pytest.mark.parametrize("line", COMMANDS)
def test_the_tasks_accept_a_command_of_the_documents(line: str):
    words = shlex.split(line)[1:]
    # Copied: `to_contexts` removes the help of each flag from its task.
    parser = Parser(copy.deepcopy(tasks.namespace).to_contexts(), Program().initial_context)
    entry._put_flag_before_values(words, parser.contexts)
    parser.parse_argv([word.replace("NUMBER", "1") for word in words])
