"""Write docs/cases.md from the models of case files, the variables and the rules. Pure."""

from __future__ import annotations

from inspect import getdoc
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from ci.case import load_levels, metrics, repeats, sweep, without_router
from ci.case.deployment import reader as deployment
from ci.case.external_dp import reader as external_dp
from ci.case.known_metrics import ALSO, KNOWN, MAIN, OF_STARTUP
from ci.case.prefill_decode import settings
from ci.case.single_node import reader as single_node
from ci.case.variables import HOST_VARIABLES, VARIABLES
from ci.check.rules import RULES
from ci.reference.prose import (
    DIFFERENCES,
    HEAD,
    PREFILL_DECODE,
    PREFILL_DECODE_MORE,
    VARIABLES_HEAD,
)
from ci.reference.schema import schema
from ci.reference.types import type_in_words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from types import ModuleType

    from ci.documents.strict import Strict

_DIALECTS = (
    ("deployment", deployment.SECTIONS),
    ("external_dp", external_dp.SECTIONS),
    ("single_node", single_node.SECTIONS),
)
_SHARED_SECTIONS = {
    "Entry": "benchmarks.NAME",
    "MetricEntry": "benchmarks.NAME.metrics.NAME",
    "KvPool": "kv_pool",
}


def page() -> str:
    """Write the reference page."""
    definitions = schema()["$defs"]
    parts = [HEAD]
    for name, sections in _DIALECTS:
        parts += _dialect(name, sections, definitions)
    parts += ["## Sections of several dialects"]
    for name, title in _SHARED_SECTIONS.items():
        parts += _section(title, definitions[name])
    parts += ["## Load levels of a benchmark", _explained(load_levels)]
    parts += ["## `repeats` of a benchmark", _explained(repeats)]
    parts += ["## `metrics` of a benchmark, and `startup`", _explained(metrics), _figures()]
    parts += ["## `without_router` of a benchmark", _explained(without_router)]
    parts += ["## `sweep`", _explained(sweep)]
    parts += [PREFILL_DECODE, _settings(), PREFILL_DECODE_MORE]
    parts += [VARIABLES_HEAD, _variables(), DIFFERENCES, *_rules()]
    return "\n\n".join(parts) + "\n"


def _dialect(
    name: str, sections: Mapping[str, type[Strict]], definitions: Mapping[str, Any]
) -> Iterator[str]:
    yield f"## Dialect `{name}`"
    for path, model in sections.items():
        if model.__name__ not in _SHARED_SECTIONS:
            title = path.removesuffix(".*").replace(".*", "[i]")
            yield from _section(title, definitions[model.__name__])


def _section(title: str, definition: Mapping[str, Any]) -> Iterator[str]:
    yield f"### `{title}`" if title else "### Top-level keys"
    if title:
        yield definition["description"]
    required = definition.get("required", ())
    yield _table(
        ("key", "type", "default", "meaning"),
        (
            (
                f"`{key}`",
                type_in_words(value),
                "**required**" if key in required else _default(value),
                value["description"],
            )
            for key, value in definition["properties"].items()
        ),
    )


def _default(value: Mapping[str, Any]) -> str:
    default = value.get("default")
    if default is None or default in ([], ""):
        return ""
    return f"`{str(default).lower() if isinstance(default, bool) else default}`"


def _explained(module: ModuleType) -> str:
    """Return the text of a module's docstring after its first line."""
    parts = (getdoc(module) or "").split("\n\n")[1:]
    return "\n\n".join(
        f"```yaml\n{dedent(part)}\n```" if part[:1] == " " else part for part in parts
    )


def _variables() -> str:
    known = (
        (f"`${item.name}`", item.meaning.replace("<", "&lt;"), item.source) for item in VARIABLES
    )
    hosts = (
        (f"`${name}`", "the host's own value, set on the host", "the host")
        for name in HOST_VARIABLES
    )
    return _table(("variable", "value", "from"), (*known, *hosts))


def _figures() -> str:
    """List the figures that can be judged, those of one unit and one direction in one row."""
    other = {figure: name for name, figure in ALSO.items()}
    rows: dict[tuple[str, ...], list[str]] = {}
    for name, metric in KNOWN.items():
        if metric.better != "neither" and name not in MAIN.values():
            key = "`startup`" if name in OF_STARTUP else "`metrics`"
            rows.setdefault((key, metric.unit, metric.better), []).append(
                f"`{name}` (or `{other[name]}`)" if name in other else f"`{name}`"
            )
    return _table(
        ("figures", "under", "unit", "better"),
        ((", ".join(names), *shared) for shared, names in rows.items()),
    )


def _settings() -> str:
    rows = [
        (f"`--{name.replace('_', '-')}`", f"`{variable}`", f"`{default}`")
        for name, (variable, default) in settings.DEFAULTS.items()
    ]
    rows.append(("`--flashinfer`", f"`{settings.FLASHINFER}`", "unset"))
    return _table(("flag", "variable", "default"), rows)


def _rules() -> Iterator[str]:
    yield "## Checks of `inv check`"
    yield (
        "In addition to errors in keys and values, `inv check` reports what these rules find. An "
        "error makes its exit code 2; a warning does not."
    )
    rows = ((f"`{rule.name}`", rule.severity, _reported(rule.examine)) for rule in RULES)
    yield _table(("rule", "severity", "what it reports"), rows)


def _reported(examine: Callable[..., object]) -> str:
    """Return the subject of a rule from the first line of its docstring, "Report …"."""
    line = (getdoc(examine) or "").partition("\n")[0].removeprefix("Report ")
    return line[:1].upper() + line[1:]


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |" for row in lines)
