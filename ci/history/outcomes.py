"""Read how the last nights of a case were judged, and with which build of vLLM."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

from ci.history.database import FILE, opened
from ci.judge.unstable import NIGHTS, JudgedNight

if TYPE_CHECKING:
    from pathlib import Path


def judged_nights(runs: Path, case: str, vllm: str = "") -> tuple[JudgedNight, ...]:
    """Return the last judged nights of a case, the newest first; none without a history.

    Args:
        runs: the folder of all runs.
        case: name of the case.
        vllm: only nights with this version, of whatever build, as 0.32.0+cpu; empty for all.
    """
    if not (runs / FILE).is_file():
        return ()
    query = (
        "SELECT outcome, vllm, environment FROM runs WHERE purpose = 'night' AND case_name = :case "
        "AND outcome IN ('pass', 'fail') "
        "AND (:vllm = '' OR vllm = :vllm OR vllm LIKE :vllm || '+%') "
        "ORDER BY started_at DESC, id DESC LIMIT :limit"
    )
    with (
        opened(runs) as connection,
        closing(connection.execute(query, {"case": case, "vllm": vllm, "limit": NIGHTS})) as rows,
    ):
        return tuple(
            JudgedNight(outcome == "pass", f"{version} {environment}".strip())
            for outcome, version, environment in rows
        )
