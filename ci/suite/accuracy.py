"""Read accuracy.yaml: one evaluation of every night of a suite, and its least score.

    task: gpqa           # the dataset
    max_samples: 100     # at most so many items
    min_score: 0.35      # the share of right answers that still passes; 0 for none

A case that has a benchmark of this dataset keeps it, with at most so many items; the others get
one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from ci.case.benchmark import MAX_COUNT, ToolName
from ci.case.convert.converted import scalar
from ci.documents import config_file
from ci.documents.strict import Strict
from ci.documents.values import shaped
from ci.suite.sizes import at_most

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from ci.suite.cases import SuiteCase

VARIABLE = "LAMPLIGHTER_ACCURACY_CONFIG"
OWNER = "vllm-ascend"
_PERCENT = 100
_NUMBER = re.compile(r"\[:(\d+)\]$")


class AccuracyFile(Strict):
    """An evaluation of accuracy, and the least score that passes."""

    enabled: bool = Field(default=True, description="false: nothing of this file has an effect")
    task: Annotated[
        str, shaped(r"[\w.+/-]{1,100}", "cannot name a dataset; write e.g. gpqa, gsm8k")
    ] = Field(default="gpqa", description="the dataset: a name, see docs/datasets.md")
    max_samples: int | None = Field(
        default=None, ge=1, le=MAX_COUNT, description="largest number of items"
    )
    dataset_split: str | None = Field(
        default=None,
        description="only a number at its end has an effect, validation[:100], if there is no "
        "`max_samples`",
    )
    min_score: float = Field(
        default=0.0, ge=0, le=1, description="share of right answers that still passes; 0: any"
    )
    tool: ToolName = Field(
        default="aisbench",
        description="the evaluation tool, where a case has no benchmark of this dataset",
    )
    dataset_conf: str | None = Field(default=None, min_length=1, description="as in a case")
    max_out_len: int = Field(
        default=4096, gt=0, le=MAX_COUNT, description="maximum number of tokens of one answer"
    )
    batch_size: int = Field(
        default=32, gt=0, le=MAX_COUNT, description="number of concurrent requests"
    )


@dataclass(frozen=True)
class Accuracy:
    """The content of an accuracy.yaml.

    Attributes:
        file: its path.
        document: what it says.
    """

    file: str
    document: AccuracyFile

    @property
    def items(self) -> int | None:
        """Return the largest number of items; None for the whole dataset."""
        match = _NUMBER.search(self.document.dataset_split or "")
        return self.document.max_samples or (int(match[1]) if match else None)

    def settings(self, found: SuiteCase, before: Sequence[str] = ()) -> Iterator[str]:
        """Yield `KEY=VALUE` that give a case this evaluation.

        Args:
            found: the case.
            before: what the suite sets already.
        """
        if not self.document.enabled:
            return
        path = f"{found.section}benchmarks"
        own = {name: entry for name, entry in found.benchmarks.items() if self._is_of(name, entry)}
        for name, entry in own.items():
            for key, value in self._changes(found, name, entry):
                yield f"{path}.{name}.{key}={scalar(value)}"
        if not own:
            has_section = found.benchmarks or any(each.startswith(f"{path}=") for each in before)
            name, entry = self._name, self._entry()
            yield (
                f"{path}.{name}={scalar(entry)}"
                if has_section
                else (f"{path}={scalar({name: entry})}")
            )

    @property
    def _name(self) -> str:
        return PurePath(self.document.task).name.lstrip("._-+") or "accuracy"

    def _is_of(self, name: str, entry: Mapping[str, Any]) -> bool:
        """Return whether a benchmark asks the same dataset."""
        if entry.get("case_type") != "accuracy":
            return False
        dataset = PurePath(str(entry.get("dataset_path_local") or entry.get("dataset_path", "")))
        conf = str(entry.get("dataset_conf") or "").partition("/")[0]
        known = {_plain(each) for each in (name, dataset.name, conf)}
        return _plain(self._name) in known

    def _changes(
        self, found: SuiteCase, name: str, entry: Mapping[str, Any]
    ) -> Iterator[tuple[str, object]]:
        if self.items and (value := at_most(found, name, self.items)) is not None:
            yield "num_prompts", value
        bound = self._bound
        if bound and not _is_stricter(entry, bound):
            yield "baseline", bound
            yield "threshold", 0

    @property
    def _bound(self) -> float:
        return round(_PERCENT * self.document.min_score, 6)

    def _entry(self) -> dict[str, Any]:
        document = self.document
        dataset = document.task if "/" in document.task else f"{OWNER}/{document.task}"
        given = {
            "case_type": "accuracy",
            "tool": document.tool,
            "dataset_path": dataset,
            "dataset_conf": document.dataset_conf,
            "num_prompts": self.items,
            "max_out_len": document.max_out_len,
            "batch_size": document.batch_size,
        }
        bound = {"baseline": self._bound, "threshold": 0} if self._bound else {}
        return {key: value for key, value in {**given, **bound}.items() if value is not None}


def load_accuracy(path: Path) -> Accuracy:
    """Read an accuracy.yaml.

    Raises:
        CaseError: it is not valid; has all problems.
        UserError: it cannot be read.
    """
    return Accuracy(str(path), config_file.load(path, AccuracyFile, {}))


def _plain(name: str) -> str:
    return name.lower().replace("-", "").replace("_", "")


def _is_stricter(entry: Mapping[str, Any], bound: float) -> bool:
    """Return whether a benchmark's own bound is at least as high."""
    own = [entry.get("baseline"), entry.get("threshold")]
    numbers = [each for each in own if isinstance(each, (int, float))]
    return len(numbers) == len(own) and numbers[0] - numbers[1] >= bound
