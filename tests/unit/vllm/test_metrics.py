"""A server's metrics page, read: good pages, pages of something else, and pages made to hurt."""

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
from hosts_here import PATIENCE_S
from hypothesis import given
from hypothesis import strategies as st

from ci.vllm.metrics import MAX_LINE_CHARS, engines, tokens_generated

RUNNING = "vllm:num_requests_running"
TOKENS = "vllm:generation_tokens_total"
# As vLLM 0.32.0 writes it, shortened.
PAGE = f"""\
# HELP {RUNNING} Number of requests in model execution batches.
# TYPE {RUNNING} gauge
{RUNNING}{{engine="0",model_name="tiny"}} 1.0
{RUNNING}{{engine="11",model_name="a \\"quoted\\" name, engine=\\"7\\" }} in it"}} 0.0
# HELP {TOKENS} Number of generation tokens processed.
# TYPE {TOKENS} counter
{TOKENS}{{engine="0",model_name="tiny"}} 1.5e+06
{TOKENS}{{engine="1",model_name="tiny"}} 25.0
{TOKENS.removesuffix("total")}created{{engine="0",model_name="tiny"}} 1.7e+09
vllm:num_requests_running_elsewhere{{engine="5"}} 1.0
"""
MB = 1_000_000
FREEZING = {
    "labels without an end": RUNNING + "{" + 'engine="1"' * (4 * MB // 10),
    "lines without an end": f'{RUNNING}{{engine="1",\n' * (4 * MB // 38),
    "a label of quotes": RUNNING + '{engine="' + '\\"' * (2 * MB),
    "a label of backslashes": RUNNING + '{engine="' + '\\\\"' * MB,
    "labels by the thousand, as long as a line is read": (
        RUNNING + "{" + ",".join(f'a{n}=""' for n in range(500)) + "} 1\n"
    )
    * 1000,
    "quotes, as long as a line is read": (RUNNING + '{engine="' + '\\"' * 2000 + '"} 1\n') * 1000,
    "spaces": f"{RUNNING}{' ' * (4 * MB)}",
    "one character": "v" * (4 * MB),
}


def test_a_page_of_vllm():
    assert engines(PAGE) == {0, 11}
    assert tokens_generated(PAGE) == 1_500_025.0


@pytest.mark.parametrize(
    "line",
    [
        "<html>Welcome to nginx!</html>",
        '{"error": "not found"}',
        f"{RUNNING} 1.0",
        f'{RUNNING}{{engine="zero"}} 1.0',
        f'{RUNNING}{{engine="²"}} 1.0',
        f'{RUNNING}{{engine="-1"}} 1.0',
        f'{RUNNING}{{engine="1"}}',
        f'{RUNNING}{{engine="1"}} much',
        f'{RUNNING}{{engine="1"}} e',
        f'{RUNNING}{{engine="1"}} 1.2.3',
        f'{RUNNING}{{engine="1"}} NaN',
        f'{RUNNING}{{engine="1"}} +Inf',
        f'{RUNNING}{{engine="1"}} 1{"0" * 400}',
        f'{RUNNING}{{engine="1"}} 1 1{"0" * 400}',
        f'{RUNNING}{{engine="1",engine="2"}} 1',
        f'{RUNNING}{{engine="1", ="2"}} 1',
        f'{RUNNING}{{engine="1}} 1',
        f'{RUNNING}{{engine="1"}} 1{" " * MAX_LINE_CHARS}',
        f'{RUNNING}{{engine="{"1" * 5000}"}} 1',
        f"{RUNNING}{{",
        "\0\n\ufffd",
        "",
    ],
)
def test_what_is_not_a_metric_is_left_out_and_hides_no_other(line):
    for text in (line, line.replace(RUNNING, TOKENS)):
        assert (engines(text), tokens_generated(text)) == (frozenset(), None)
    assert engines(f"{line}\n{PAGE}{line}") == {0, 11}


@given(
    st.lists(
        st.sampled_from([RUNNING, TOKENS, *'{}",=\\ \t\n\r#', "engine", '"1"', "1", "nan", "1e400"])
        | st.just(f'{TOKENS}{{engine="1"}} 1e308\n')
        | st.text(max_size=4)
    ).map("".join)
)
def test_whatever_is_on_the_page_it_can_be_read(page):
    assert all(engine >= 0 for engine in engines(page))
    tokens = tokens_generated(page)
    assert tokens is None or math.isfinite(tokens)


@pytest.mark.parametrize("page", FREEZING)
def test_a_page_that_is_made_to_keep_its_reader_busy(page, tmp_path: Path):
    """In a process of its own: a frozen reader holds the GIL, and no thread could end it."""
    (tmp_path / "page").write_text(FREEZING[page])
    code = (
        "import json, sys; from pathlib import Path; from ci.vllm import metrics; "
        "page = Path(sys.argv[1]).read_text(); "
        "print(json.dumps([len(metrics.engines(page)), metrics.tokens_generated(page)]))"
    )
    argv = [sys.executable, "-c", code, str(tmp_path / "page")]
    ended = subprocess.run(argv, capture_output=True, check=True, timeout=PATIENCE_S)
    assert json.loads(ended.stdout) == [0, None]
