"""Compare the lists of a case with its number of hosts. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from ci.documents.source import Source
    from ci.errors import Problem


def count_errors(count: int, lists: Mapping[str, str], source: Source) -> Iterator[Problem]:
    """Report lists of another length than `num_nodes`, or `num_nodes` if they agree.

    Args:
        count: `num_nodes`.
        lists: key of a list → what it lists; those that are absent or no lists are skipped.
        source: the file.
    """
    document = source.value if isinstance(source.value, dict) else {}
    entries = {key: document.get(key) for key in lists}
    lengths = {
        key: len(found)
        for key, found in entries.items()
        if isinstance(found, list) and (found or key != "cluster_hosts")  # empty is none
    }
    wrong = [key for key, length in lengths.items() if length != count]
    if wrong == list(lengths) and len(set(lengths.values())) == 1:
        listed = " and ".join(filter(None, (", ".join([*lengths][:-1]), [*lengths][-1])))
        verb = "list" if len(lengths) > 1 else "lists"
        what = "hosts" if len(lengths) > 1 else lists[listed]
        number = lengths[wrong[0]]
        message = f"{count}, but {listed} {verb} {_of(number, what)}; make them equal"
        yield source.at_value(("num_nodes",), message)
        return
    for key in wrong:
        message = (
            f"lists {_of(lengths[key], lists[key])}, but num_nodes is {count}; make them equal"
        )
        yield source.at_key((key,), message)


def _of(number: int, what: str) -> str:
    return f"{number} {what.removesuffix('s') if number == 1 else what}"
