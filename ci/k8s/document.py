"""Kubernetes documents as YAML that people and every parser read alike. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

# Parsers differ in what else they take for a number or a truth value, such as 1e3 and y.
_SURELY_TEXT = re.compile(r"[A-Za-z/][\w./-]+")


class _Dumper(yaml.SafeDumper):
    """Long texts as blocks, doubtful ones in quotes, nothing by reference."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _SURELY_TEXT.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "|" if "\n" in value else style)


_Dumper.add_representer(str, _text)


def dump(documents: Sequence[dict[str, Any]]) -> str:
    """Write the documents into one text, keys in the order given."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, width=10**6, explicit_start=True
    )
