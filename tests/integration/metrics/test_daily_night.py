"""Whole nights with a real pushgateway, with a light real server in vLLM's place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hosts_here import assert_given_back, held_port
from metric_runs import SECRET
from night import light_case
from real_programs import get

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from night import Night
    from real_programs import Program

DAILY = ("nightly", "--run-type", "daily")
CI = {"PROM_PUSHGATEWAY_REPOSITORY": "team/nights", "GITHUB_REPOSITORY": "team/nights"}


@pytest.fixture
def play(tmp_path: Path, start_night: Callable[..., Night]) -> Iterator[Callable[..., Night]]:
    """Play a light night on this machine to its end."""
    with held_port() as port:

        def night(manner: str, *flags: str, **further: Any) -> Night:
            case = light_case(manner, port=port, cluster_hosts=["localhost"], telemetry="off")
            # Nights of other tests may be on this machine; these measure nothing.
            words = ("--workspace", str(tmp_path / "workspace"), "--skip-doctor", *flags)
            begun = start_night(case, *words, **{"command": DAILY, **CI, **further})
            begun.finish()
            return begun

        yield night
    assert_given_back(tmp_path / "workspace")


def published(gateway: Program) -> str:
    return get(f"{gateway.url}/metrics").decode()


def test_a_daily_night_is_published_and_a_failed_one_keeps_the_last_success(
    gateway: Callable[..., Program], play: Callable[..., Night], tmp_path: Path
):
    real = gateway()
    env = {"PROM_PUSHGATEWAY_URL": real.url, "PROM_TEXTFILE_DIR": str(tmp_path / "textfiles")}
    (tmp_path / "textfiles").mkdir()
    good = play("good", "--suite-name", "nights", **env)
    assert good.code == 0
    assert f"pushed 2 checks of {good.folder.name} to {real.url}" in good.output
    assert f"pushed 2 checks of {good.folder.name}" in good.notes
    record = good.record
    assert (record["run_type"], record["suite"], record["cluster"]) == ("daily", "nights", "")
    labels = (
        'cluster="none",instance="",job="lamplighter",model="light",outcome="pass",'
        'quantization="none",run_type="daily",suite="nights",vllm="none",'
        'vllm_version="0.0.0-light"'
    )
    assert f'lamplighter_night_outcome{{case="case",{labels}}} 1' in published(real)
    success = [line for line in published(real).splitlines() if "_last_success_t" in line]
    # It never gets so far as to say its version.
    assert play("crash", "--suite-name", "nights", **env).code == 3
    text = published(real)
    assert [line for line in text.splitlines() if "_last_success_t" in line] == success
    unknown = labels.replace("pass", "unknown").replace("0.0.0-light", "unknown")
    assert f'lamplighter_night_outcome{{case="case",{unknown}}} 1' in text
    assert text.count("lamplighter_night_timestamp_seconds{") == 1
    files = sorted(path.name.rpartition("-")[2] for path in (tmp_path / "textfiles").iterdir())
    assert files == ["night.prom", "success.prom"]


def test_a_gateway_that_is_down_never_makes_a_night_red(play: Callable[..., Night]):
    secret = {"PROM_PUSHGATEWAY_USER": "nights", "PROM_PUSHGATEWAY_PASSWORD": SECRET}
    night = play("good", PROM_PUSHGATEWAY_URL="http://127.0.0.1:9", **secret)
    assert (night.code, night.record["outcome"]) == (0, "pass")
    note = "not pushed to http://127.0.0.1:9 (3 tries): no connection: Connection refused"
    assert note in night.output
    assert note in night.notes
    assert f"inv metrics.push --run {night.folder.name}" in night.output
    written = [path.read_bytes() for path in night.folder.rglob("*") if path.is_file()]
    assert not [data for data in (*written, night.output.encode()) if SECRET.encode() in data]


@pytest.mark.parametrize(
    ("command", "env", "note"),
    [
        (("nightly",), CI, ""),
        (("nightly", "--run-type", "pr"), CI, "the run type is pr"),
        (DAILY, {"GITHUB_REPOSITORY": "fork/nights"}, "this is fork/nights"),
        (DAILY, {"PROM_PUSHGATEWAY_REPOSITORY": ""}, "set PROM_PUSHGATEWAY_REPOSITORY"),
    ],
)
def test_other_nights_are_not_published(
    gateway: Callable[..., Program],
    play: Callable[..., Night],
    command: tuple[str, ...],
    env: dict[str, str],
    note: str,
):
    real = gateway()
    night = play("good", command=command, PROM_PUSHGATEWAY_URL=real.url, **env)
    assert night.code == 0
    assert real.get("/api/v1/metrics") == []
    assert note in night.output
    assert ("metrics:" in night.output) is bool(note)


def test_a_dry_run_contacts_no_gateway(
    gateway: Callable[..., Program], start_night: Callable[..., Night]
):
    real = gateway()
    case = light_case("good", port=1, cluster_hosts=["localhost"])
    night = start_night(case, "--dry-run", command=DAILY, PROM_PUSHGATEWAY_URL=real.url, **CI)
    assert night.finish() == 0
    assert real.get("/api/v1/metrics") == []
