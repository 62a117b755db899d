from __future__ import annotations

from ci.metrics.old import DAY_S, MAX_GROUPS, Pushed, old_groups

NOW = 100 * DAY_S
NIGHT, SUCCESS, CSV = "lamplighter", "lamplighter_last_success", "lamplighter_csv"


def pushed(job=NIGHT, case="a", vllm="1", days=0.0):
    key = (("case", case),) if job == SUCCESS else (("case", case), ("vllm", vllm))
    return Pushed(job, key, NOW - days * DAY_S)


def old_of(*groups):
    return {(each.job, dict(each.key).get("case")) for each in old_groups(groups, NOW, 14)}


def test_nothing_is_old():
    assert old_of(pushed(), pushed(days=13.9, case="b"), pushed(SUCCESS, days=13)) == set()


def test_what_got_no_push_for_long_is_deleted():
    assert old_of(pushed(days=14.1), pushed(CSV, "c", days=15)) == {(NIGHT, "a"), (CSV, "c")}


def test_the_last_success_of_a_case_that_fails_every_night_stays():
    assert old_of(pushed(days=0), pushed(SUCCESS, days=60)) == set()


def test_a_last_success_goes_with_its_nights():
    gone = old_of(pushed(days=20), pushed(SUCCESS, days=60))
    assert gone == {(NIGHT, "a"), (SUCCESS, "a")}
    assert old_of(pushed(SUCCESS, days=60)) == {(SUCCESS, "a")}


def test_another_version_that_was_replaced_is_deleted():
    assert old_groups([pushed(), pushed(vllm="0", days=4.1)], NOW, 14) == [
        pushed(vllm="0", days=4.1)
    ]
    # Both versions are tested each night, but not on weekends.
    assert old_of(pushed(), pushed(vllm="0", days=3.5)) == set()
    # The newest version stays, however old.
    assert old_of(pushed(days=6), pushed(vllm="0", days=6.1)) == {(NIGHT, "a")}


def test_other_jobs_are_never_touched():
    assert old_of(pushed("somebody", days=99), pushed("lamplighterx", days=99)) == set()


def test_their_number_is_bounded():
    groups = [pushed(case=str(number), days=number / 1000) for number in range(MAX_GROUPS + 3)]
    assert {int(case) for _, case in old_of(*groups)} == {
        MAX_GROUPS,
        MAX_GROUPS + 1,
        MAX_GROUPS + 2,
    }
