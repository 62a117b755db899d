"""Reports of benchmarks that a night asked several times."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

from junitparser import JUnitXml
from sample_run import EVALUATION, check, sample

from ci.report import junit, markdown

if TYPE_CHECKING:
    from ci.record.model import Run


def run_of(runs: list[float], *, auto: bool = False) -> Run:
    entry = deepcopy(EVALUATION)
    entry["settings"] |= {"passes": max(len(runs), 1), "passes_auto": auto}
    entry["measurements"][0] |= {"runs": runs}
    times = {"started_at": None, "ended_at": None, "n_items": 40}
    entry["passes"] = [
        {"process": name, "raw": f"evaluate/{name}/raw"} | times
        for name in (["words", "words-pass-2", "words-pass-3"][: len(runs)])
    ]
    return sample(check("pass"), evaluations=[entry])


def test_the_report_has_the_figure_and_the_folder_of_each_pass():
    text = markdown.render(run_of([20.0, 25.5, 19.5], auto=True))
    assert "| benchmark | metric | value | n | each pass | source |" in text
    assert "| words | accuracy | 55.00 % | 40 | 20.00, 25.50, 19.50 | summary.csv |" in text
    assert "| 0.6 | - | 3 (auto) |\n" in text
    assert (
        "raw output `evaluate/words/raw`, `evaluate/words-pass-2/raw`, `evaluate/words-pass-3/"
        in (text)
    )


def test_a_report_of_one_pass_has_no_column_for_it():
    text = markdown.render(run_of([]))
    assert "each pass" not in text
    assert "| words | accuracy | 55.00 % | 40 | summary.csv |" in text
    assert "| 0.6 | - | 1 |\n" in text
    assert "(40), raw output `evaluate/words/raw`\n" in text


def test_junit_has_the_figure_of_each_pass():
    def output(run: Run) -> str:
        (suite,) = JUnitXml.fromstring(junit.render(run))
        (case,) = suite
        return case.system_out

    assert output(run_of([20.0, 25.5])).endswith("; 2 passes: 20, 25.5 %")
    assert output(run_of([20.0, 25.5], auto=True)).endswith("; 2 passes (auto): 20, 25.5 %")
    assert "pass" not in output(run_of([]))
