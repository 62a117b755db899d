"""Write a year of runs of many cases, and measure the page of all nights on it.

    python benchmarks/year_of_runs.py /tmp/year                 60 cases × 365 nights
    python benchmarks/year_of_runs.py /tmp/year --measure       and time `inv report.index` on it

The runs are drawn, not measured: speed with a noise of 1.5 % and steps that stay, accuracy by the
chance of each item, lost hosts, mixed cases, upgrades of vLLM, control runs beside a failure. Each
has its row in history.db and, for the last --folders nights of a case, a folder with run.json and
report.md, as nights leave them.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ci.history.database import opened, transaction
from ci.history.ledger import append
from ci.history.night import night_of
from ci.history.store import put
from ci.judge.baseline import Accepted
from ci.record.fields import utc
from ci.record.stored import FILE, as_run, as_text

if TYPE_CHECKING:
    from collections.abc import Iterator

END = datetime(2026, 11, 26, 20, 0, tzinfo=UTC)
MODELS = ("Qwen3-8B", "Qwen3-32B", "Qwen3-235B-A22B", "DeepSeek-V3.2", "DeepSeek-R1", "Kimi-K2")
FORMS = ("BF16", "W8A8", "W4A8", "TP8", "PD-2P1D", "EP16", "MTP", "LONG", "PREFIX", "CHUNKED")
HOSTS = tuple(f"npu-{number:02d}" for number in range(1, 9))
VERSIONS = ((0, "0.28.0"), (120, "0.30.0"), (280, "0.32.0"))
# Shares of cases and nights.
STEPS, MIXED, LONE, BROKEN = 0.3, 0.35, 0.004, 0.012
CAUSES = (
    ("HostLost", "{host}: was lost during the run: no answer for 120 s"),
    ("NotReady", "server-0 on {host}: not ready after 1800 s: /health answered 503"),
    ("ProcessDied", "server-0 on {host}: ended with signal 9 while it loaded weights"),
    ("HostBusy", "{host}: run 20260101-010101-other-12ab of alice holds it"),
)


def cases_of(count: int) -> tuple[str, ...]:
    """Return the names of so many cases."""
    names = [f"{model}-{form}" for model in MODELS for form in FORMS]
    names += [f"{name}-{number}" for number in range(2, 99) for name in names[:60]]
    return tuple(names[:count])


def year(name: str, index: int, nights: int) -> Iterator[dict[str, Any]]:
    """Yield the records of a case, the oldest first, as run.json has them."""
    draw = random.Random(index)  # noqa: S311 - no secret
    base = draw.uniform(400, 4000)
    step = draw.randrange(30, max(nights - 10, 31)) if draw.random() < STEPS else nights
    factor = draw.choice((0.92, 0.95, 1.06))
    skill = draw.uniform(0.6, 0.95)
    mixed = index % 20 == 7  # noqa: PLR2004 - three cases of sixty
    hosts = HOSTS[index % 8 : index % 8 + 1 + (index % 3 == 0)]
    for night in range(nights):
        start = END - timedelta(days=nights - 1 - night) + timedelta(minutes=index * 7)
        vllm = next(version for first, version in reversed(VERSIONS) if night >= first)
        speed = base * draw.gauss(1, 0.015) * (factor if night >= step else 1)
        score = 100 * sum(draw.random() < skill for _ in range(200)) / 200
        fallen = night in range(step, step + 9) and factor < 1
        failed = fallen or draw.random() < (MIXED if mixed else LONE)
        cause = draw.choice(CAUSES) if draw.random() < BROKEN else None
        outcome = "unknown" if cause else "fail" if failed else "pass"
        run = _record(name, start, vllm, hosts, outcome)
        if cause:
            kind, message = cause
            run["cause"] = {"kind": kind, "message": message.format(host=draw.choice(hosts))}
        else:
            _measure(run, start, (speed, base), (score, skill), failed=failed)
        yield run
        if failed and not cause and night % 2:
            later = start + timedelta(hours=1)
            yield {
                **_record(name, later, vllm, hosts, "pass", purpose="control"),
                "night": run["id"],
            }


def _record(
    name: str, start: datetime, vllm: str, hosts: tuple[str, ...], outcome: str, **changes: str
) -> dict[str, Any]:
    seconds = 2100 + start.timestamp() % 600
    digest = f"{hash_of(vllm):08x}00000000"
    return {
        "schema": 2,
        "id": f"{start:%Y%m%d-%H%M%S}-{name}-{hash_of(name + str(start)) % 65536:04x}",
        "outcome": outcome,
        "exit_code": {"pass": 0, "fail": 1}.get(outcome, 3),
        "case": name,
        "config": f"configs/cases/{name}.yaml",
        "command": f"inv nightly --config {name}.yaml --cluster mine",
        "folder": "/srv/lamplighter",
        "user": "nightly",
        "controller": {"host": "bench", "pid": 1, "boot_id": "x", "start_ticks": 1},
        "started_at": utc(start),
        "ended_at": utc(start + timedelta(seconds=seconds)),
        "seconds": seconds,
        "targets": [{"name": host, "address": f"10.0.0.{int(host[-2:])}"} for host in hosts],
        "hosts": {
            host: {
                "hostname": host,
                "kernel": "5.10.0",
                "accelerators": [{"kind": "ascend", "name": "910B3", "driver": "25.2.0"}] * 8,
            }
            for host in hosts
        },
        "environments": {
            host: {f"vllm-{vllm}": {"version": vllm, "packages": 180, "hash": digest, "list": None}}
            for host in hosts
        },
        "versions": {"vllm served": vllm, "lamplighter": "0.1.0", "python": "3.11.7"},
        "git_commit": "0123456789abcdef0123456789abcdef01234567",
        **changes,
    }


def hash_of(text: str) -> int:
    """Return a number of a text that is the same in every process."""
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


def _measure(
    run: dict[str, Any],
    start: datetime,
    speeds: tuple[float, float],
    scores: tuple[float, float],
    *,
    failed: bool,
) -> None:
    """Add two benchmarks with their figures and checks, and the smoke test.

    Each pair has the figure of the night and what it is held against.
    """
    (speed, base), (score, skill) = speeds, scores
    figures = {
        "gsm8k": [("accuracy", score, "%", 200)],
        "perf-3500": [
            ("output_token_throughput", speed, "tok/s", 400),
            ("ttft_p50", 300 * base / speed, "ms", 400),
            ("ttft_p99", 900 * base / speed, "ms", 400),
            ("tpot_p50", 30 * base / speed, "ms", 400),
            ("request_throughput", speed / 900, "req/s", 400),
        ],
    }
    settings = {
        "tool_version": "3.1",
        "model": run["case"],
        "url": "http://10.0.0.1:8000",
        "num_prompts": 200,
        "max_out_len": 1024,
        "batch_size": 64,
        "request_rate": 0.0,
        "temperature": 0.0,
        "seed": None,
        "sampling": {"temperature": 0.0},
        "request_conf": None,
        "dataset_conf": None,
        "dataset": None,
        "tokenizer": None,
        "deadline_s": 3600.0,
        "argv": ["ais_bench"],
    }
    run["benchmarks"] = [
        {"name": name, "case_type": "accuracy" if name == "gsm8k" else "performance"}
        for name in figures
    ]
    run["evaluations"] = [
        {
            "benchmark": name,
            "tool": "aisbench",
            "started_at": utc(start + timedelta(minutes=10)),
            "ended_at": utc(start + timedelta(minutes=25)),
            "settings": settings,
            "measurements": [
                {"benchmark": name, "metric": metric, "value": value, "unit": unit, "n": n}
                | {"items": None, "source": "summary.csv"}
                for metric, value, unit, n in listed
            ],
            "problems": [],
            "n_items": listed[0][3],
            "items": None,
            "raw": f"evaluate/{name}/raw",
        }
        for name, listed in figures.items()
    ]
    bad = "fail" if failed else "pass"
    low, late = base * 0.95, 300 / 0.95
    why = "5.2 % below the level of 40 nights" if failed else "within 5 % of 40 nights"
    checks = [
        ("smoke", "answers", 1.0, "", None, None, ">=", "pass", "it answers"),
        ("gsm8k", "accuracy", score, "%", 100 * skill, 100 * skill - 6, ">=", "pass", "agrees"),
        ("perf-3500", "output_token_throughput", speed, "tok/s", base, low, ">=", bad, why),
        ("perf-3500", "ttft_p50", 300 * base / speed, "ms", 300.0, late, "<=", "pass", "agrees"),
    ]
    names = ("name", "metric", "value", "unit", "baseline", "bound", "operator", "outcome")
    run["checks"] = [
        {**dict(zip((*names, "reason"), row, strict=True)), "tolerance": "-5 %"} for row in checks
    ]


def write(folder: Path, ledgers: Path, cases: int, nights: int, folders: int) -> int:
    """Write the year; return the number of runs."""
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    with opened(folder) as connection:
        for index, name in enumerate(cases_of(cases)):
            records = list(year(name, index, nights))
            with transaction(connection):
                for position, record in enumerate(records):
                    run = as_run(record)
                    put(connection, night_of(run, {}))
                    count += 1
                    if len(records) - position <= folders:
                        path = folder / run.id
                        path.mkdir(exist_ok=True)
                        (path / FILE).write_text(as_text(run), "utf-8")
                        (path / "report.md").write_text(f"# {run.id}\n", "utf-8")
            if index % 5 == 0:
                _accept(ledgers, name, records)
    return count


def _accept(ledgers: Path, name: str, records: list[dict[str, Any]]) -> None:
    runs = [each for each in records if each.get("evaluations")]
    for because, at in (("first three nights agree", 3), ("vLLM 0.32.0 is the new level", -40)):
        if len(runs) < 50:  # noqa: PLR2004 - for a year, not for a test
            continue
        run = runs[at]
        figure = run["evaluations"][1]["measurements"][0]
        entry = Accepted(
            *("perf-3500", figure["metric"], figure["value"], figure["unit"]),
            runs=(run["id"],),
            who="alice",
            when=run["ended_at"],
            because=because,
            before=figure["value"] * 1.02 if at < 0 else None,
            loosened=at < 0,
        )
        append(ledgers, name, "accepted", [entry])


def main() -> None:
    """Write a year, and measure if asked to."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("folder", type=Path, help="gets runs/ and baselines/")
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--nights", type=int, default=365)
    parser.add_argument("--folders", type=int, default=30, help="folders of a case's last runs")
    parser.add_argument("--measure", action="store_true", help="time the page of all nights")
    given = parser.parse_args()
    runs, ledgers = given.folder / "runs", given.folder / "baselines"
    if not (runs / "history.db").exists():
        begun = time.perf_counter()
        count = write(runs, ledgers, given.cases, given.nights, given.folders)
        print(f"{count} runs written in {time.perf_counter() - begun:.1f} s")
    if given.measure:
        measure(runs, ledgers)


def measure(runs: Path, ledgers: Path) -> None:
    """Build the page from nothing, after one new run, and after a new night of every case."""
    from ci.report.pages.build import build_index  # noqa: PLC0415

    def built(words: str, *, afresh: bool = False) -> None:
        begun, cpu = time.perf_counter(), time.process_time()
        report = build_index(runs, ledgers, warn=lambda _: None, afresh=afresh)
        took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        size = (runs / "index.html").stat().st_size
        beside = sum(path.stat().st_size for path in (runs / "index-files").iterdir())
        print(
            f"{words}: {took:.2f} s ({cpu:.2f} s of CPU), {report.rebuilt} cases made; "
            f"index.html {size / 1e6:.2f} MB, files beside it {beside / 1e6:.1f} MB"
        )

    built("from nothing", afresh=True)
    built("nothing new")
    names = cases_of(60)
    for words, chosen in (("one new run", names[:1]), ("a new night of each case", names)):
        with opened(runs) as connection:
            (last,) = connection.execute("SELECT max(started_at) FROM runs").fetchone()
            start = datetime.fromisoformat(last) + timedelta(hours=20)
            with transaction(connection):
                for index, name in enumerate(chosen):
                    record = next(year(name, index + 7, 1))
                    later = start + timedelta(minutes=index)
                    fresh = _record(name, later, "0.32.0", HOSTS[:1], record["outcome"])
                    put(connection, night_of(as_run({**record, **fresh}), {}))
        built(words)
    print(f"memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10} MiB")


if __name__ == "__main__":
    main()
