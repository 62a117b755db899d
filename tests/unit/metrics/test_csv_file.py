from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ci.errors import UserError
from ci.metrics.csv_file import figures_in, group_of
from ci.metrics.exposition import text_of

if TYPE_CHECKING:
    from pathlib import Path

# The columns are those of vllm-cibench; the figures are made up.
CSV = """concurrency,input_len,output_len,latency_p50_ms,throughput_rps
1,128,128,50.5,10
4,128,128,70.5,20
"""


@pytest.fixture
def read(tmp_path: Path):
    def figures(text: str | bytes):
        path = tmp_path / "perf.csv"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return figures_in(path)

    return figures


def test_the_means_have_the_names_of_vllm_cibench(read):
    assert read(CSV) == {"ci_perf_latency_p50_ms_avg": 60.5, "ci_perf_throughput_rps_avg": 15.0}


@pytest.mark.parametrize(
    "text",
    [
        CSV.replace("\n", "\r\n"),
        "\ufeff" + CSV,
        CSV + "\n",
        CSV.replace("latency_p50_ms", " Latency_P50_ms "),
        CSV.replace("1,128", '"1",128'),
    ],
)
def test_as_spreadsheets_write_it(read, text):
    assert read(text)["ci_perf_latency_p50_ms_avg"] == 60.5


def test_columns_of_texts_are_left_out(read):
    assert read("scenario,date,ttft_ms\na,2026-01-01,5\nb,2026-01-02,7\n") == {
        "ci_perf_ttft_ms_avg": 6.0
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("throughput_rps\n", "has no rows"),
        ("a,b\nx,y\n", "no column has figures"),
        ("concurrency\n1\n", "no column has figures"),
        ("throughput_rps\n1\n\nx\n", r"csv:4: throughput_rps: expected a number, got 'x'"),
        ("throughput_rps\n1\nnan\n", r"csv:3: throughput_rps: expected a number, got 'nan'"),
        ("a,throughput_rps\nx,1\ny,\n", r"csv:3: throughput_rps: expected a number, got ''"),
        ("throughput rps\n1\n", "expected letters, digits and _"),
        ("数学\n1\n", "expected letters, digits and _"),
        ("a,b\n1\n", r"csv:2: expected 2 values"),
        ("a,A\n1,2\n", "two columns are named a"),
        (",".join(f"c{n}" for n in range(60)) + "\n" + ",".join("1" * 60) + "\n", "at most 50"),
        (b"a\n\xff\n", "not text in UTF-8"),
        (
            "concurrency;ttft_ms\n1;5\n",
            r"csv:1: its columns are separated by ';'; save it with comm",
        ),
        ("concurrency;ttft_ms\n1;5,5\n", r"csv:1: its columns are separated by ';'"),
        ("concurrency\tttft_ms\n1\t5\n", r"csv:1: its columns are separated by a tab"),
        (
            'a_ms,b_ms\n5,"1,5"\n5,"2,5"\n',
            r"csv:2: b_ms: expected a number, got '1,5'; write a poi",
        ),
        ('a_ms\n"1.234,5"\n', r"csv:2: a_ms: expected a number, got '1.234,5'; write a point"),
        ('a\n"1\n', "is not a CSV"),
        ("a\n" + "1\n" * 600_000, "is larger than"),
    ],
)
def test_what_is_no_such_csv(read, text, words):
    with pytest.raises(UserError, match=words):
        read(text)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(UserError, match="cannot be read"):
        figures_in(tmp_path / "perf.csv")


def test_its_group(read):
    group = group_of(read(CSV), {"model": "Qwen3-32B", "run_type": "daily"})
    assert 'ci_perf_throughput_rps_avg{model="Qwen3-32B",run_type="daily"} 15.0' in text_of(
        group.families
    )
