"""When the pieces of a stream arrive tells whether something holds them back."""

from __future__ import annotations

import json

import pytest

from ci.functional.proof import Proof
from ci.functional.reply import Reply
from ci.functional.times import arrival_rules, text_times

# Twenty tokens, one every 50 ms after 100 ms.
STEADY = [0.1 + 0.05 * index for index in range(20)]
SLOW = [1.0 + 0.5 * index for index in range(20)]


@pytest.mark.parametrize(
    ("times", "ended_s", "expected"),
    [
        (STEADY, 1.1, []),
        (SLOW, 10.8, []),
        ([0.001 * index for index in range(1, 20)], 0.02, []),
        # In pairs, as a network may deliver them.
        ([STEADY[index - index % 2] for index in range(20)], 1.1, []),
        (
            [1.0 + 0.0001 * index for index in range(20)],
            1.01,
            ["tokens arrive while they are made"],
        ),
        ([*STEADY[:10], *(time + 2 for time in STEADY[10:])], 3.1, ["longest gap"]),
        ([time + 3 for time in STEADY], 4.1, ["first token", "tokens arrive while they are made"]),
        (STEADY, 4.0, ["from the last token to the end", "tokens arrive while they are made"]),
    ],
)
def test_a_stream_that_is_held_back_fails(times, ended_s, expected):
    proof = Proof()
    arrival_rules(times, ended_s, proof)
    assert [assertion.name for assertion in proof.failed] == expected


def test_events_with_text_have_a_time():
    chunks = [
        {"choices": [{"delta": {"role": "assistant", "content": ""}}]},
        {"choices": [{"delta": {"content": "a"}}]},
        {"choices": [{"text": "b"}]},
        {"choices": []},
    ]
    pieces = [
        (float(at), f"data: {json.dumps(each)}\n\n".encode()) for at, each in enumerate(chunks)
    ]
    pieces.append((9.0, b"data: [DONE]\n\n"))
    assert text_times(Reply(200, {}, tuple(pieces), 9.0)) == [1.0, 2.0]
