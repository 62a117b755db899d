from __future__ import annotations

import pytest
from metric_runs import SECRET

from ci.errors import UserError
from ci.metrics.labels import MAX_CHARS, LabelValues, labels_given


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Qwen3-32B", "Qwen3-32B"),
        ("数学", "数学"),
        ("", "unknown"),
        (" \n", "unknown"),
        ("a\nb\tc", "a b c"),
        ("\x1b[31mred\x1b[0m\x00", "red"),
        ("a\ud800b", "ab"),
        ("http://me:secret-word@host", "http://me:***@host"),
        ("hf_abcdefghijklmnopqrstuvwxyz", "***"),
    ],
)
def test_a_label_value(text: str, expected: str):
    assert LabelValues()(text) == expected


def test_a_long_value_is_cut_and_stays_unique():
    one, other = (LabelValues()("x" * 5000 + end) for end in ("1", "2"))
    assert len(one) == len(other) == MAX_CHARS
    assert one != other


@pytest.mark.parametrize("at", range(80, 101, 5))
def test_no_part_of_a_secret_stays_where_a_value_is_cut(at: int):
    value = LabelValues.without_secrets_of({"API_KEY": SECRET})
    shown = value("y" * at + SECRET + "z" * 50)
    assert SECRET[:6] not in shown
    # Nor where a control character parts it.
    assert SECRET[:6] not in value(f"{SECRET[:9]}\x07{SECRET[9:]}")


def test_the_secrets_are_not_in_its_repr():
    assert SECRET not in repr(LabelValues.without_secrets_of({"API_KEY": SECRET}))


def test_labels_of_a_command_line():
    given = ["model=Qwen3-32B", "quant=w8a8", "scenario=a=b", "empty="]
    assert labels_given(given, LabelValues()) == {
        "model": "Qwen3-32B",
        "quant": "w8a8",
        "scenario": "a=b",
        "empty": "none",
    }


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["model"], "expected NAME=VALUE"),
        (["=x"], "expected NAME=VALUE"),
        (["mod-el=x"], "expected NAME=VALUE"),
        (["__name__=x"], "expected NAME=VALUE"),
        (["job=x"], "is set by"),
        (["run_type=x"], "is set by"),
        ([f"api_key={SECRET}"], "announces a secret"),
        (["a=1", "a=2"], "given twice"),
        ([f"a{n}=1" for n in range(11)], "at most 10"),
    ],
)
def test_what_is_no_label(given: list[str], words: str):
    with pytest.raises(UserError, match=words) as raised:
        labels_given(given, LabelValues())
    assert SECRET not in str(raised.value)
