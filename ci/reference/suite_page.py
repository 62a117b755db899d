"""Write docs/suites.md from the models of suites and accuracy files. Pure but for the example."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.paths import CONFIGS
from ci.reference.suite_prose import (
    ACCURACY,
    CIBENCH,
    EXAMPLE_HEAD,
    EXAMPLE_TAIL,
    HEAD,
    NIGHTS,
    PACKING,
    RUNNING,
)
from ci.reference.suite_schema import accuracy_schema, night_suite_schema
from ci.reference.types import type_in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Title of a section → the model of its keys; the top level comes first.
_SECTIONS = {
    "`nights[i]`": "NightsEntry",
    "`run_types.NAME`, `nights[i].run_types.NAME`": "RunType",
    "`run_types.NAME.sizes`": "Sizes",
    "`window`": "Window",
    "`nights[i].hosts`": "HostsEntry",
    "`retry`": "Retry",
    "`judge`": "SuiteJudging",
    "`mute[i]`": "MuteEntry",
    "`notify`": "Notify",
    "`notify.to[i]`": "NotifyTarget",
}


def suite_page() -> str:
    """Write the page."""
    schema = night_suite_schema()
    example = (CONFIGS / "suites" / "daily.yaml").read_text("utf-8").strip()
    parts = [HEAD, EXAMPLE_HEAD, f"```yaml\n{example}\n```", EXAMPLE_TAIL, NIGHTS, PACKING, RUNNING]
    parts += ["## Keys of a suite", "### Top-level keys", _table(schema)]
    for title, model in _SECTIONS.items():
        definition = schema["$defs"][model]
        parts += [f"### {title}", definition["description"], _table(definition)]
    parts += [ACCURACY, _table(accuracy_schema()), CIBENCH]
    return "\n\n".join(parts) + "\n"


def _table(definition: Mapping[str, Any]) -> str:
    lines = ["| key | type | meaning |", "| --- | --- | --- |", *_rows(definition)]
    return "\n".join(lines)


def _rows(definition: Mapping[str, Any]) -> Iterator[str]:
    required = definition.get("required", ())
    for key, value in definition["properties"].items():
        kind = type_in_words(value)
        own = value.get("default")
        default = "" if own in (None, "", [], {}, False) else f" Default: `{_shown(own)}`"
        meaning = value["description"].replace("|", "/")
        must = ", **required**" if key in required else ""
        yield f"| `{key}` | {kind}{must} | {meaning}{'.' if default else ''}{default} |"


def _shown(value: object) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(str, value))}]"
    return str(value).lower() if isinstance(value, bool) else str(value)
