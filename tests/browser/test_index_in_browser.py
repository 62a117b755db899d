"""The page of all nights in Chromium: accessible, quiet, and usable by keyboard alone."""

from __future__ import annotations

import json
import threading

import pytest
from sample_run import check
from stored_runs import evaluation, run_of, stored, throughput

from ci.record.stored import as_run, as_text
from ci.report.pages.build import build_index
from ci.report.pages.server import ReportServer
from ci.report.pages.standing import Standing

NAMES = {f"{size}-{theme}" for size in ("desktop", "phone") for theme in ("light", "dark")}
HOSTILE = "</script><img src=x onerror=alert(1)><svg/onload=alert(2)>'\"`--></style><b id=bad>"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a passing, a failing, a muted, an unstable and a hostile case, and its page."""
    folder = tmp_path_factory.mktemp("year") / "runs"
    for number in range(30):
        speed = 100.0 if number < 20 else 90.0
        night(folder, number, "pass", speed, "local")
        night(folder, number, "fail" if number > 27 else "pass", speed, "prefill")
        night(folder, number, "fail" if number % 2 else "pass", speed, "mixed")
        night(folder, number, "unknown", speed, "muted")
    night(folder, 29, "unknown", 9.0, HOSTILE)
    standings = [
        Standing("muted", "muted", owner="bob", until="2026-12-31", because=HOSTILE),
        Standing("quarantined", "node-b", "host", because="lost twice"),
    ]
    built = build_index(folder, folder.parent / "ledgers", warn=print, standings=standings)
    assert built.failures == ()
    return folder


def night(folder, number, outcome, speed, case):
    """Store a night with a report; a hostile case has a hostile text wherever a reader sees one."""
    text = case if case == HOSTILE else ""
    cause = {"kind": "HostLost", "message": text or "node-a: was lost: no answer for 120 s"}
    changes = {"cause": cause} if outcome == "unknown" else {}
    entries = (evaluation(number), throughput(number, speed))
    run_id = f"20260101-{number:02d}-{'hostile' if text else case}"
    run = run_of(number, *entries, outcome=outcome, case=case, run_id=run_id, **changes)
    if text:
        tree = json.loads(as_text(run))
        tree["checks"].append({**vars(check("unknown", text, text)), "metric": text, "unit": text})
        tree["versions"]["vllm served"] = text
        run = as_run(tree)
    path = stored(folder, run)
    (path / "report.md").write_text("# a report\n")


def require_clean(found):
    assert {*found} == NAMES
    for name, each in found.items():
        assert each["axe"] == {"nights": [], "weeks": [], "case": []}, name
        assert max(each["wide"].values()) <= 0, name
        assert (each["errors"], each["requests"], each["dialogs"]) == ([], [], []), name
        assert each["range"] == "weeks", name
        assert each["paper"] == "rgb(255, 255, 255)", name
        assert each["theme"] == ("light" if name.endswith("dark") else "dark"), name


def test_a_page_from_a_file_is_accessible_quiet_and_usable_by_keyboard(runs, browse, tmp_path):
    found = browse("index.mjs", (runs / "index.html").as_uri(), tmp_path)
    require_clean(found)
    for name in ("desktop-light", "desktop-dark"):
        path = found[name]["keyboard"]
        assert path["skip"] == "Skip to the content"
        assert (path["slash"], path["only"], path["range"]) == ("find", "only", "range")
        assert path["found"] == "1 of 5 cases"
        assert (path["cleared"], path["all"], path["failed"]) == (
            "5 cases",
            "5 cases",
            "2 of 5 cases",
        )
        assert path["region"] == "region"
        assert path["down"] == path["home"] == "local"
        assert path["end"] == "pass"
        assert (path["heading"], path["title"]) == ("case-h", "local · Nights")
        assert path["back"] == "local"
    assert len([*tmp_path.glob("*.png")]) == 16


def test_a_page_from_its_server_is_the_same(runs, browse, tmp_path):
    with ReportServer(runs, "127.0.0.1", 0) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            found = browse("index.mjs", server.url, tmp_path)
        finally:
            server.shutdown()
            thread.join()
    require_clean(found)
    assert {each["kept"] for each in found.values()} == {"light", "dark"}
