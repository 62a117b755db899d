"""Write every flag of `vllm serve` to stdout; run with the Python of a vLLM environment.

    ENVIRONMENT/bin/python ci/vllm/capture_flags.py > configs/flags/0.32.0.txt

The flags come from vLLM's own parser, just before it would parse a command line. With vLLM's
sources (the sdist) first on PYTHONPATH, the environment of a similar version is enough. One line is
one option: its spellings, then, if it takes a value, `=` and the value's type or its choices; `=?`
if the value may be left out, `=+` and `=*` for lists. Imports the standard library only.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import sys
from typing import Any, NoReturn

_TYPES: tuple[type, ...] = (int, float)


class FoundError(BaseException):
    """Carries vLLM's parser out of its own command line program."""


def _found(parser: argparse.ArgumentParser, *_: object, **__: object) -> NoReturn:
    commands = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]  # noqa: SLF001
    raise FoundError(commands[0].choices["serve"])


def flags() -> list[str]:
    """Return one line for each option of `vllm serve`, sorted."""
    argparse.ArgumentParser.parse_args = _found  # type: ignore[assignment]
    argparse.ArgumentParser.parse_known_args = _found  # type: ignore[assignment]
    sys.argv = ["vllm", "serve"]
    try:
        with contextlib.redirect_stdout(sys.stderr):
            importlib.import_module("vllm.entrypoints.cli.main").main()
    except FoundError as found:
        parser: argparse.ArgumentParser = found.args[0]
    # Not `action.option_strings`: since 0.33.0 spellings that are hidden from help are not in it.
    spellings: dict[int, list[str]] = {}
    for name, action in parser._option_string_actions.items():  # noqa: SLF001
        spellings.setdefault(id(action), []).append(name)
    actions = {id(action): action for action in parser._actions}  # noqa: SLF001
    return sorted(_line(actions[key], names) for key, names in spellings.items())


def _line(action: argparse.Action, names: list[str]) -> str:
    names = sorted(names, key=lambda name: (not name.startswith("--"), name))
    value = _value(action)
    return " ".join([*names, *([f"={value}"] if value is not None else [])])


def _value(action: Any) -> str | None:  # noqa: ANN401 - an argparse.Action, or vLLM's own
    """Describe an option's value; None if it takes none."""
    if action.nargs == 0:
        return None
    many = action.nargs if action.nargs in {"?", "+", "*"} else ""
    if action.choices and all(" " not in str(choice) for choice in action.choices):
        return many + "|".join(map(str, action.choices))
    return many + (action.type.__name__ if action.type in _TYPES else "text")


if __name__ == "__main__":
    sys.stdout.write("".join(f"{line}\n" for line in flags()))
