"""EvalScope's own datasets, read from files in a folder by a program of ours. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from inspect import getsource
from pathlib import Path
from typing import TYPE_CHECKING

from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.tool_side import local_tasks

if TYPE_CHECKING:
    from ci.case.benchmark import Benchmark

# Puts a folder in the place of the hub; see there. Not imported: it imports what is beside it.
PROGRAM = "local_evalscope.py"
LOADER = "local_tasks.py"


@dataclass(frozen=True)
class OwnDataset:
    """A dataset of EvalScope.

    Attributes:
        configs: the configurations of the data that are read.
        test: the split with the questions.
        examples: the split with the examples of few-shot prompts.
        shots: number of examples unless the case gives one.
        sets: number of subsets, each of which has a figure.
    """

    configs: tuple[str, ...]
    test: str
    examples: str
    shots: int
    sets: int


# From `evalscope/benchmarks/*/…_adapter.py` of 1.14.1; a test compares them.
_CEVAL = """
    computer_network operating_system computer_architecture college_programming college_physics
    college_chemistry advanced_mathematics probability_and_statistics discrete_mathematics
    electrical_engineer metrology_engineer high_school_mathematics high_school_physics
    high_school_chemistry high_school_biology middle_school_mathematics middle_school_biology
    middle_school_physics middle_school_chemistry veterinary_medicine college_economics
    business_administration marxism mao_zedong_thought education_science teacher_qualification
    high_school_politics high_school_geography middle_school_politics middle_school_geography
    modern_chinese_history ideological_and_moral_cultivation logic law
    chinese_language_and_literature art_studies professional_tour_guide legal_professional
    high_school_chinese high_school_history middle_school_history civil_servant sports_science
    plant_protection basic_medicine clinical_medicine urban_and_rural_planner accountant
    fire_engineer environmental_impact_assessment_engineer tax_accountant physician
"""
DATASETS = {
    "arc": OwnDataset(("ARC-Easy", "ARC-Challenge"), "test", "train", 0, 2),
    "ceval": OwnDataset(tuple(_CEVAL.split()), "val", "dev", 5, 52),
    "mmlu": OwnDataset(("all",), "test", "dev", 5, 57),
    "mmlu_pro": OwnDataset(("",), "test", "validation", 5, 14),
}
# Measured with the project's own data and no examples, also without a dataset_conf.
GSM8K = "gsm8k"


def own_dataset(benchmark: Benchmark) -> OwnDataset | None:
    """Return EvalScope's dataset of a benchmark; None for GSM8K.

    Raises:
        UserError: its dataset_conf is none of EvalScope's datasets here.
    """
    conf = benchmark.dataset_conf
    if conf in (None, GSM8K):
        return None
    if conf not in DATASETS:
        near = nearest(conf, (GSM8K, *DATASETS))
        guess = f"; did you mean {near!r}?" if near else ""
        known = ", ".join((GSM8K, *DATASETS))
        raise UserError(
            f"dataset_conf: evalscope has no {conf!r} here; choose one of {known}{guess}, or use "
            "tool: aisbench or lm_eval"
        )
    return DATASETS[conf]


def shots_of(benchmark: Benchmark) -> int:
    """Return the number of examples in front of each question."""
    own = own_dataset(benchmark)
    if benchmark.num_fewshot is None:
        return own.shots if own else 0
    return benchmark.num_fewshot


def splits_of(benchmark: Benchmark) -> tuple[str, ...]:
    """Return what has to be in the dataset's folder; see `ci.tool_side.local_tasks.lacks`."""
    own = own_dataset(benchmark)
    if own is None:
        return ()
    names = (own.test, *((own.examples,) if shots_of(benchmark) else ()))
    return tuple(
        f"split {name}" + (f" of {config}" if config else "")
        for config in own.configs
        for name in names
    )


def program_files() -> dict[str, str]:
    """Return the programs of a run: path below `work` → text."""
    program = Path(local_tasks.__file__).with_name(PROGRAM)
    return {PROGRAM: program.read_text("utf-8"), LOADER: getsource(local_tasks)}
