"""Write the values that a suite replaces in a case file, as for `--set`. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.case.convert.converted import scalar
from ci.catalog.dataset_sizes import available

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.suite.cases import SuiteCase
    from ci.suite.model import Sizes


def settings_of(found: SuiteCase, values: Mapping[str, Any]) -> Iterator[str]:
    """Yield `KEY=VALUE` for values that the suite sets.

    In a file with several cases the key is that of the case, unless it begins at the top.
    """
    for key, value in values.items():
        at_top = key.startswith("test_cases")
        yield f"{'' if at_top else found.section}{key}={scalar(value)}"


def size_settings(found: SuiteCase, sizes: Sizes) -> Iterator[str]:
    """Yield `KEY=VALUE` for each benchmark that is larger than a run type allows."""
    largest = {"accuracy": sizes.accuracy, "performance": sizes.performance}
    for name, entry in found.benchmarks.items():
        limit = largest.get(str(entry.get("case_type")))
        if limit and (value := at_most(found, name, limit)) is not None:
            yield f"{found.section}benchmarks.{name}.num_prompts={scalar(value)}"


def at_most(found: SuiteCase, name: str, limit: int) -> object:
    """Return the `num_prompts` that makes a benchmark no larger; None if it is small enough.

    Args:
        found: the case.
        name: of the benchmark in the file, before load levels are expanded.
        limit: largest number of items or requests.
    """
    written = found.benchmarks[name].get("num_prompts")
    levels = [each for each in found.case.benchmarks if each.name.startswith(f"{name}-")]
    exact = [each for each in found.case.benchmarks if each.name == name]
    if written is None and any(0 < available(each) <= limit for each in (exact or levels)[:1]):
        return None  # the whole dataset is not larger
    return _smaller(written, limit)


def _smaller(written: object, limit: int) -> object:
    if isinstance(written, list):
        smaller = [limit if _is_larger(each, limit) else each for each in written]
        return None if smaller == written else smaller
    return limit if _is_larger(written, limit) else None


def _is_larger(written: object, limit: int) -> bool:
    """Return whether a number is larger, or unknown: the whole dataset, or a value of a sweep."""
    number = int(written) if isinstance(written, str) and written.isdecimal() else written
    return number > limit if isinstance(number, int) else True
