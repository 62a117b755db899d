"""Test the ledgers of baselines: reading, mistakes, appending."""

from __future__ import annotations

import difflib
import multiprocessing
from dataclasses import fields, replace

import pytest

from ci.errors import CaseError, UserError
from ci.history.ledger import append, load_ledger, load_ledgers, path_of
from ci.history.ledger_file import SettingsEntry
from ci.judge.baseline import Accepted, Ledger, Rejected
from ci.judge.past import Conditions

ACCEPTED = Accepted(
    benchmark="acc",
    metric="accuracy",
    value=42.5,
    unit="%",
    n=40,
    questions="0123456789012345",
    conditions=Conditions(
        model="q", tool_version="3.10", sampling='{"top_p": 1}', overrides=("a=1",)
    ),
    vllm="0.32.0",
    device="cpu",
    host="bench",
    who="op@bench",
    when="2026-01-01T00:00:00.000Z",
    because="three nights: agree # yes",
    before=45.0,
    runs=("r1", "r2", "r3"),
    spread=1.25,
    loosened=True,
    forced=("it loosens the baseline",),
)
REJECTED = Rejected("r9", "op@bench", "2026-01-02T00:00:00.000Z", "the disk was full")
BY_HAND = """\
# By hand.
case: local
rejected:
  - run: r1   # a comment
    who: me
    when: "2026-01-01"
    because: the disk was full

# The baselines.
accepted:
  - benchmark: acc
    metric: accuracy
    value: 45
    unit: "%"
    who: me
    when: "2026-01-01"
    because: >-
      as measured
      by hand
"""


def placed(entry, folder, line):
    return replace(entry, file=str(path_of(folder, "local")), line=line)


def test_what_is_appended_is_read_again(tmp_path):
    folder = tmp_path / "baselines"
    assert load_ledger(folder, "local") == Ledger("local")
    path = append(folder, "local", "accepted", [ACCEPTED])
    append(folder, "local", "rejected", [REJECTED])
    append(folder, "local", "accepted", [replace(ACCEPTED, conditions=None, before=None)])
    ledger = load_ledger(folder, "local")
    assert ledger.accepted == (
        placed(ACCEPTED, folder, 5),
        placed(replace(ACCEPTED, conditions=None, before=None), folder, 27),
    )
    assert ledger.rejected == (placed(REJECTED, folder, 44),)
    assert ledger.accepted[0].source == f"{path}:5"
    assert load_ledgers(folder) == (ledger,)
    assert [each.name for each in folder.iterdir()] == ["local.yaml"]


def test_what_a_person_wrote_stays(tmp_path):
    path = path_of(tmp_path, "local")
    path.write_text(BY_HAND)
    path.chmod(0o664)
    append(tmp_path, "local", "rejected", [REJECTED])
    append(tmp_path, "local", "accepted", [ACCEPTED])
    compared = difflib.ndiff(BY_HAND.splitlines(), path.read_text().splitlines())
    assert not [line for line in compared if line.startswith("-")]
    assert path.stat().st_mode & 0o777 == 0o664
    ledger = load_ledger(tmp_path, "local")
    assert [each.value for each in ledger.accepted] == [45.0, 42.5]
    assert ledger.rejected_runs == {"r1": "the disk was full", "r9": "the disk was full"}
    assert ledger.accepted[0].because == "as measured by hand"


@pytest.mark.parametrize(
    "case", ["local", "a b", "# odd: 'case'", "x[tp=1]", "no", "1.0", "模型", "a\nb"]
)
def test_a_case_of_any_name_has_a_ledger(tmp_path, case):
    append(tmp_path, case, "rejected", [REJECTED])
    if "\n" not in case:
        assert load_ledger(tmp_path, case).rejected_runs == {"r9": "the disk was full"}


def test_a_link_to_a_ledger_stays_a_link(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "local.yaml").symlink_to(tmp_path / "there" / "x.yaml")
    (tmp_path / "there" / "x.yaml").write_text(BY_HAND)
    append(tmp_path, "local", "rejected", [REJECTED])
    assert (tmp_path / "local.yaml").is_symlink()
    assert "r9" in (tmp_path / "there" / "x.yaml").read_text()


def test_a_ledger_of_another_case_is_refused(tmp_path):
    append(tmp_path, "a b", "rejected", [REJECTED])
    with pytest.raises(
        UserError, match="is the ledger of the case 'a b', and the case 'a-b' would"
    ):
        load_ledger(tmp_path, "a-b")


MISTAKES = {
    "a score over all": (
        ("value: 45", "value: 945"),
        "unit: accuracy of 945 % is outside 0 to 100",
    ),
    "a speed of nothing": (
        (
            'metric: accuracy\n    value: 45\n    unit: "%"',
            "metric: tput\n    value: 0\n    unit: x",
        ),
        "unit: tput of 0 x is the figure of no run; expected more than 0",
    ),
    "no time": (
        ('"2026-01-01"\n    because: >-', "yesterday\n    because: >-"),
        "accepted[0].when: 'yesterday' is not a time; write one such as 2026-01-31T20:00:00Z",
    ),
    "unknown key": (("value: 45", "valeu: 45"), "13:5: accepted[0].valeu: unknown key; did you m"),
    "a number as text": (("value: 45", 'value: "45"'), "accepted[0].value: expected a number"),
    "a date": (
        ('"2026-01-01"\n    because: >-', "2026-01-01\n    because: >-"),
        "put it in quotes",
    ),
    "no reason": (("because: the disk was full", "because: ''"), "is empty; write some text"),
    "no case": (("case: local", "# case: local"), "case: missing; name of the case"),
    "a setting": (
        ('unit: "%"', 'unit: "%"\n    settings: {max_out_len: "64"}'),
        "accepted[0].settings.max_out_len: expected a whole number",
    ),
    "an unknown setting": (
        ('unit: "%"', 'unit: "%"\n    settings: {modle: x}'),
        "accepted[0].settings.modle: unknown key; did you mean 'model'?",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_reported_with_file_line_and_key_and_nothing_is_written(tmp_path, mistake):
    (old, new), message = MISTAKES[mistake]
    path = path_of(tmp_path, "local")
    text = BY_HAND.replace(old, new, 1)
    assert text != BY_HAND
    path.write_text(text)
    for work in (
        lambda: load_ledger(tmp_path, "local"),
        lambda: append(tmp_path, "local", "rejected", [REJECTED]),
    ):
        with pytest.raises(CaseError) as refused:
            work()
        assert str(refused.value).startswith(f"{path}:")
        assert message in str(refused.value)
    assert path.read_text() == text


def test_a_list_that_cannot_be_extended_is_refused_and_stays(tmp_path):
    path = path_of(tmp_path, "local")
    path.write_text("case: local\nrejected: []\n")
    with pytest.raises(UserError, match=r"local\.yaml:2: rejected: nothing can be appended"):
        append(tmp_path, "local", "rejected", [REJECTED])
    assert path.read_text() == "case: local\nrejected: []\n"


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file: cannot be written: File exists; check the path"):
        append(tmp_path / "file", "local", "rejected", [REJECTED])


def test_the_settings_of_a_ledger_are_those_of_a_figure():
    defaults = {
        item.name: list(item.default) if isinstance(item.default, tuple) else item.default
        for item in fields(Conditions)
    }
    assert {name: field.default for name, field in SettingsEntry.model_fields.items()} == defaults


def _append(folder, start, name):
    start.wait()
    for number in range(5):
        append(folder, "local", "rejected", [replace(REJECTED, run=f"{name}{number}")])


def test_several_processes_that_append_at_once_lose_nothing(tmp_path):
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(3)
    writers = [context.Process(target=_append, args=(tmp_path, start, name)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    assert len(load_ledger(tmp_path, "local").rejected_runs) == 15
