"""Test what is known of an evaluation while it runs, as its servers' metrics tell."""

from __future__ import annotations

from ci.serve.window import Window


def page(requests, tokens, running=0, waiting=0):
    return (
        f'vllm:request_success_total{{engine="0",finished_reason="stop"}} {requests}\n'
        f'vllm:generation_tokens_total{{engine="0"}} {tokens}\n'
        f'vllm:num_requests_running{{engine="0"}} {running}\n'
        f'vllm:num_requests_waiting{{engine="0"}} {waiting}\n'
    )


def begun():
    return Window([page(7, 100), page(3, 50)], idle_s=0.0)


def test_the_time_before_the_first_request_does_not_count():
    window = begun()
    assert window.so_far(24, 1.0) == ()
    window.read([page(7, 100), page(3, 50)], 8.0)
    assert window.so_far(24, 9.0) == ()
    window.read([page(11, 400, 3, 1), page(5, 150, 1)], 18.0)
    assert window.so_far(24, 19.0) == (
        "6 of 24 requests",
        "40.0 tok/s so far",
        "about 29.0 s left",
        "4 running, 1 waiting",
    )
    # It is later than what the metrics let expect.
    assert window.so_far(24, 60.0)[2:] == ("4 running, 1 waiting",)


def test_the_first_requests_do_not_tell_the_time_left():
    window = begun()
    window.read([page(8, 400, 3, 1), page(3, 50, 1)], 18.0)
    assert window.so_far(24, 19.0) == (
        "1 of 24 requests",
        "16.7 tok/s so far",
        "4 running, 1 waiting",
    )


def test_servers_that_have_become_idle_are_not_slower_for_it():
    window = begun()
    window.read([page(9, 400, 8), page(3, 50)], 10.0)
    window.read([page(31, 700), page(3, 50)], 20.0)
    window.read([page(31, 700), page(3, 50)], 30.0)
    assert window.so_far(24, 31.0) == (
        "24 of 24 requests",
        "30.0 tok/s so far",
        "0 running, 0 waiting",
    )


def test_an_unknown_number_of_requests_has_no_end():
    window = begun()
    window.read([page(11, 400), page(3, 50)], 10.0)
    assert window.so_far(0, 10.0) == (
        "4 requests",
        "30.0 tok/s so far",
        "0 running, 0 waiting",
    )


def test_requests_of_a_warm_up_are_not_too_many():
    window = begun()
    window.read([page(12, 400), page(3, 50)], 10.0)
    assert window.so_far(4, 10.0)[0] == "4 of 4 requests"


def test_a_server_that_was_started_again_tells_nothing():
    window = begun()
    window.read([page(0, 0), page(3, 50)], 10.0)
    assert window.so_far(4, 10.0) == ()
    assert window.during[0]["vllm:num_requests_running"] == 0
