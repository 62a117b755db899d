"""Write Kubernetes documents as YAML that all parsers read in the same way. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Sequence

# Some parsers read other texts, such as 1e3 and y, as numbers or booleans.
_PLAIN_TEXT = re.compile(r"[A-Za-z/][\w./-]+")


class _Dumper(yaml.SafeDumper):
    """A dumper that writes long texts as blocks, ambiguous texts in quotes, and no aliases."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = None if _PLAIN_TEXT.fullmatch(value) else '"'
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "|" if "\n" in value else style)


_Dumper.add_representer(str, _text)


def dump(documents: Sequence[dict[str, Any]]) -> str:
    """Write documents into one YAML text; keys keep their order."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, width=10**6, explicit_start=True
    )
