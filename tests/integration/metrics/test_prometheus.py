"""A real Prometheus that scrapes what nights published: rules, alerts, and the dashboard."""

from __future__ import annotations

import json
import re
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from hosts_here import until
from metric_runs import checks_of_a_night, figure, night
from real_programs import find

from ci.metrics.dashboard import dashboard
from ci.metrics.gateway import push
from ci.metrics.labels import LabelValues
from ci.metrics.night import metrics_of
from ci.metrics.served import Served
from ci.metrics.settings import Gateway
from ci.metrics.textfile import write_files
from ci.paths import CONFIGS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from real_programs import Program

    from ci.metrics.families import Group

FOLDER = CONFIGS / "prometheus"
VARIABLE = re.compile(r"label_values\((\w+), (\w+)\)")


def utc(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def recent_nights() -> tuple[Group, ...]:
    """Return a night that passed, one that failed, and one with too many checks, of today."""
    ended = datetime.now(UTC) - timedelta(hours=1)
    times = {"started_at": utc(ended - timedelta(hours=2)), "ended_at": utc(ended)}
    many = [figure("pass", f"level {number}") for number in range(120)]
    runs = (
        night(case="passes", **times),
        night("fail", case="fails", **times),
        night(case="many", checks=[*checks_of_a_night(), *many], **times),
    )
    value = LabelValues()
    made = [metrics_of(run, Served("Qwen/Qwen3-8B-W8A8", "w8a8"), value) for run in runs]
    return tuple(group for each in made for group in each.groups)


def alerts_of(prometheus: Program) -> set[tuple[str, str]]:
    return {
        (alert["labels"]["alertname"], alert["labels"].get("case", ""))
        for alert in prometheus.get("/api/v1/alerts")["alerts"]
        if alert["state"] == "firing"
    }


def answer(prometheus: Program, expression: str) -> Sequence[object]:
    return prometheus.get("/api/v1/query", query=expression)["result"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("promtool", ("test", "rules", "lamplighter.rules.test.yml")),
        ("promtool", ("check", "rules", "lamplighter.rules.yml")),
        ("promtool", ("check", "config", "prometheus.yml")),
        ("amtool", ("check-config", "alertmanager.yml")),
    ],
)
def test_the_files_of_the_project_are_valid(program: str, words: tuple[str, ...]):
    argv = [find(program), *words]
    ended = subprocess.run(argv, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_every_alert_has_a_test():
    named = re.findall(r"alert: (\w+)", (FOLDER / "lamplighter.rules.yml").read_text("utf-8"))
    tested = (FOLDER / "lamplighter.rules.test.yml").read_text("utf-8")
    expected = re.findall(r"alertname: (\w+)\n\s+exp_alerts:\n", tested)
    assert len(named) == 8
    assert set(named) == set(expected)


def test_every_expression_of_the_dashboard_has_an_answer(
    gateway: Callable[..., Program], prometheus: Callable[..., Program]
):
    pushed = gateway()
    assert push(Gateway(pushed.url), recent_nights(), lambda _: True).error == ""
    scraping = prometheus("pushgateway", pushed.url.removeprefix("http://"))
    until(lambda: answer(scraping, "lamplighter_night_checks_left_out > 0"))
    tree = json.loads((CONFIGS / "grafana" / "lamplighter.json").read_text("utf-8"))
    expressions = [target["expr"] for panel in tree["panels"] for target in panel["targets"]]
    assert len(expressions) == 20
    for expression in expressions:
        filled = re.sub(r"\$\w+", ".*", expression)
        assert "$" not in filled
        assert answer(scraping, filled), expression
    queries = [each["query"]["query"] for each in tree["templating"]["list"][1:]]
    for query in queries:
        metric, label = VARIABLE.fullmatch(query).groups()
        assert scraping.get(f"/api/v1/label/{label}/values", **{"match[]": metric}), query


def test_the_dashboard_in_the_folder_is_the_one_that_is_made():
    """`python -m ci.metrics` writes it."""
    assert (CONFIGS / "grafana" / "lamplighter.json").read_text("utf-8") == dashboard()


def test_alerts_reach_a_real_alertmanager(
    gateway: Callable[..., Program],
    prometheus: Callable[..., Program],
    alertmanager: Callable[..., Program],
):
    pushed, receiving = gateway(), alertmanager()
    push(Gateway(pushed.url), recent_nights(), lambda _: True)
    target, receiver = (each.url.removeprefix("http://") for each in (pushed, receiving))
    scraping = prometheus("pushgateway", target, receiver)
    until(lambda: len(alerts_of(scraping)) >= 2)
    # A case that never passed is an alert after three days, and no night here is late.
    assert alerts_of(scraping) == {
        ("LamplighterNightFailed", "fails"),
        ("LamplighterCheckFailed", "fails"),
    }

    def received() -> set[str]:
        with_labels = json.loads(receiving.text("/api/v2/alerts"))
        return {each["labels"]["alertname"] for each in with_labels}

    until(lambda: received() == {"LamplighterNightFailed", "LamplighterCheckFailed"})


def test_by_way_of_text_files_it_is_the_same(
    node_exporter: Callable[[Path], Program],
    prometheus: Callable[..., Program],
    tmp_path: Path,
):
    folder = tmp_path / "textfiles"
    folder.mkdir()
    write_files(folder, recent_nights(), keep_days=14)
    exporting = node_exporter(folder)
    assert "node_textfile_scrape_error 0" in exporting.text("/metrics")
    scraping = prometheus("node", exporting.url.removeprefix("http://"))
    until(lambda: answer(scraping, "lamplighter_night_checks_left_out > 0"))
    until(lambda: ("LamplighterNightFailed", "fails") in alerts_of(scraping))
    (passed,) = answer(
        scraping, 'lamplighter_last_success_timestamp_seconds{case="passes",vllm_version="0.32.0"}'
    )
    assert passed["metric"]["cluster"] == "lab"
