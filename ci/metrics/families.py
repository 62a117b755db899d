"""Define groups of metrics, as the gateway and the text files hold them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# The jobs of the groups; nothing of another job is ever touched.
NIGHT_JOB, SUCCESS_JOB, CSV_JOB = "lamplighter", "lamplighter_last_success", "lamplighter_csv"
JOBS = frozenset({NIGHT_JOB, SUCCESS_JOB, CSV_JOB})


@dataclass(frozen=True)
class Sample:
    """A value with its labels."""

    labels: Mapping[str, str]
    value: float


@dataclass(frozen=True)
class Family:
    """A gauge; all its samples have the same names of labels.

    Attributes:
        name: with the unit, as Prometheus recommends.
        help: one sentence; the same wherever the metric is published.
    """

    name: str
    help: str
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class Group:
    """What is replaced together.

    Attributes:
        job: one of JOBS.
        key: the labels that name the group, besides the job.
        families: those with at least one sample.
    """

    job: str
    key: Mapping[str, str]
    families: tuple[Family, ...]
