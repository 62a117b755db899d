"""Read the answers of a run's items from its folder, as far as the tool's output is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.record.below import path_below, read_below
from ci.tools.answers import FILES, answers_in

if TYPE_CHECKING:
    from pathlib import Path

    from ci.record.model import Evaluation
    from ci.tools.answers import Answer

# Of all files of a benchmark together; a prediction has some KiB.
MAX_BYTES = 512 << 20


def answers_of(folder: Path, evaluation: Evaluation) -> dict[str, Answer]:
    """Read the answers of a benchmark: id of the item → answer.

    Args:
        folder: the run's folder.
        evaluation: of the benchmark, from the run's record.

    Returns:
        What could be found; nothing if the output is not there, leads elsewhere or is too large.
    """
    conf = (evaluation.settings.dataset_conf if evaluation.settings else None) or ""
    return answers_in(evaluation.tool, _files(folder, evaluation), conf)


def _files(folder: Path, evaluation: Evaluation) -> dict[str, str]:
    files: dict[str, str] = {}
    left = MAX_BYTES
    try:
        raw = path_below(folder, evaluation.raw)
        for pattern in FILES.get(evaluation.tool, ()):
            for path in sorted(raw.glob(pattern)):
                data = read_below(folder, str(path.relative_to(folder)), left)
                left -= len(data)
                files[str(path.relative_to(raw))] = data.decode("utf-8", "replace")
    except (OSError, ValueError):
        return {}
    return files
