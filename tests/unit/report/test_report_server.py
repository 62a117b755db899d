"""The server of reports: what it serves, to whom, and how it says so."""

from __future__ import annotations

import http.client
import os
import socket
import threading

import pytest

from ci.errors import UserError
from ci.report.pages.served import TYPES, Served, file_of, is_own_name, policy_in
from ci.report.pages.server import ReportServer
from ci.report.reports import OF_PAGE, RENDERERS

PAGE = (
    "<!doctype html><html><head>"
    '<meta http-equiv="Content-Security-Policy" content="default-src &#39;none&#39;">'
    "</head><body>x</body></html>"
)
SLUG = "local-0a1b2c3d.js"


@pytest.mark.parametrize(
    ("target", "parts"),
    [
        ("/", ("index.html",)),
        ("/index.html", ("index.html",)),
        ("/index.html?x=1#y", ("index.html",)),
        (f"/index-files/{SLUG}", ("index-files", SLUG)),
        (f"/index-files/{SLUG}?0123", ("index-files", SLUG)),
        ("/r1/report.html", ("r1", "report.html")),
        ("/r%201/report.md", ("r 1", "report.md")),
        ("/r1/junit.xml", ("r1", "junit.xml")),
        ("", None),
        ("*", None),
        ("/history.db", None),
        ("/r1", None),
        ("/r1/", None),
        ("/r1/run.json", None),
        ("/r1/plan.json", None),
        ("/r1/logs/a/server.log", None),
        ("/index-files/", None),
        ("/index-files/local.js", None),
        ("/index-files/../history.db", None),
        ("/index-files/report.html", None),
        ("/../report.md", None),
        ("/%2e%2e/report.md", None),
        ("/..%2freport.md", None),
        ("/r1%2f..%2f../report.md", None),
        ("//etc/passwd", None),
        ("//report.md", None),
        ("/./report.md", None),
        ("/.git/report.md", None),
        ("/r1\\..\\x/report.md", None),
        ("/r%00/report.md", None),
        ("/r1/report.md%00", None),
        ("/r1/report.md/", None),
        ("/%ff/report.md", None),
        ("http://evil.example/r1/report.md", ("r1", "report.md")),
        ("http://[/report.md", None),
    ],
)
def test_what_a_target_names(target, parts):
    served = file_of(target)
    assert (served.parts if served else None) == parts


@pytest.mark.parametrize(
    ("header", "is_own"),
    [
        ("127.0.0.1:8765", True),
        ("127.0.0.1", True),
        ("[::1]:8765", True),
        ("10.0.0.7:8765", True),
        ("localhost:8765", True),
        ("LOCALHOST", True),
        ("localhost.", True),
        ("bench:1", True),
        ("", False),
        ("evil.example", False),
        ("evil.example:8765", False),
        ("127.0.0.1.evil.example", False),
        ("localhost.evil.example", False),
        ("localhost@evil.example", False),
        ("bench:1:2", False),
        ("bench:port", False),
        ("[::1", False),
    ],
)
def test_whose_name_a_request_asks_for(header, is_own):
    assert is_own_name(header, frozenset({"localhost", "bench"})) is is_own


def test_a_page_is_sent_with_its_own_policy_and_anything_else_without_scripts():
    assert policy_in(PAGE.encode(), "text/html") == "default-src 'none'; frame-ancestors 'none'"
    for head, kind in (
        (b"", "text/html"),
        (PAGE.encode(), "text/plain"),
        (b"<script>", "text/html"),
    ):
        assert "sandbox" in policy_in(head, kind)
    split = PAGE.replace("&#39;none&#39;", "a&#13;&#10;X-Other: b").encode()
    assert "\n" not in policy_in(split, "text/html")


@pytest.fixture
def runs(tmp_path):
    folder = tmp_path / "runs"
    (folder / "index-files").mkdir(parents=True)
    (folder / "index-files" / SLUG).write_text("lamplighter.details()")
    (folder / "index.html").write_text(PAGE)
    (folder / "history.db").write_text("secret")
    (folder / "r1").mkdir()
    for name in ("report.html", "report.md", "report.json", "run.json"):
        (folder / "r1" / name).write_text(PAGE if name == "report.html" else "text")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "report.md").write_text("secret")
    (folder / "link").symlink_to(outside)
    (folder / "r2").mkdir()
    (folder / "r2" / "report.md").symlink_to(outside / "report.md")
    (folder / "r2" / "junit.xml").mkdir()
    os.mkfifo(folder / "r2" / "report.html")
    return folder


@pytest.fixture
def server(runs):
    with ReportServer(runs, "127.0.0.1", 0) as serving:
        thread = threading.Thread(target=serving.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield serving
        finally:
            serving.shutdown()
            thread.join()


def ask(server, target, method="GET", **headers):
    host, port = server.server_address[:2]
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, target, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(
    ("target", "kind", "text"),
    [
        ("/", "text/html; charset=utf-8", PAGE),
        ("/index.html", "text/html; charset=utf-8", PAGE),
        (f"/index-files/{SLUG}", "text/javascript; charset=utf-8", "lamplighter.details()"),
        ("/r1/report.html", "text/html; charset=utf-8", PAGE),
        ("/r1/report.md", "text/plain; charset=utf-8", "text"),
        ("/r1/report.json", "application/json", "text"),
    ],
)
def test_reports_and_pages_are_served(server, target, kind, text):
    status, headers, body = ask(server, target)
    assert (status, headers["Content-Type"], body) == (200, kind, text)
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
    assert "Python" not in headers["Server"]


@pytest.mark.parametrize(
    "target",
    [
        "/r1/run.json",
        "/history.db",
        "/r1/../history.db",
        "/link/report.md",
        "/r2/report.md",
        "/r2/report.html",  # a FIFO: nothing is waited for
        "/r2/junit.xml",
        "/none/report.md",
        "/<script>",
    ],
)
def test_nothing_else_is_served(server, target):
    status, headers, body = ask(server, target)
    assert status == 404
    assert body.startswith("no such page or report; records and logs are only in the folder")
    assert headers["Content-Type"] == "text/plain; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_nothing_can_be_written(server, method):
    status, headers, _ = ask(server, "/", method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


def test_an_unknown_method_is_not_repeated(server):
    status, _, body = ask(server, "/", "BREW")
    assert status == 501
    assert "BREW" not in body


def test_a_request_for_another_name_is_refused(server):
    assert ask(server, "/", Host="evil.example")[0] == 421
    assert ask(server, "/", Host="localhost:1")[0] == 200


@pytest.mark.parametrize(
    ("site", "mode", "status"),
    [
        ("cross-site", "no-cors", 403),
        ("same-site", "no-cors", 403),
        ("cross-site", "navigate", 200),
        ("same-origin", "no-cors", 200),
        ("none", "navigate", 200),
    ],
)
def test_a_page_of_another_site_reads_nothing(server, site, mode, status):
    headers = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": mode}
    assert ask(server, "/", **headers)[0] == status


def test_a_head_has_no_body(server):
    status, headers, body = ask(server, "/", "HEAD")
    assert (status, headers["Content-Length"], body) == (200, str(len(PAGE)), "")


def test_a_connection_stays_open_for_further_files(server):
    host, port = server.server_address[:2]
    connection = http.client.HTTPConnection(host, port, timeout=60)
    for target, text in (("/", PAGE), ("/r1/report.md", "text"), ("/", PAGE)):
        connection.request("GET", target)
        assert connection.getresponse().read().decode() == text
    connection.close()


def test_what_is_no_http_is_refused(server):
    with socket.create_connection(server.server_address[:2], timeout=60) as connection:
        connection.sendall(b"\x16\x03\x01<script>\r\n\r\n")
        answer = connection.makefile("rb").read()
    assert b"<script>" not in answer


def test_without_a_page_the_answer_says_how_to_make_it(server, runs):
    (runs / "index.html").unlink()
    status, _, body = ask(server, "/")
    assert status == 404
    assert "`inv report.index`" in body


@pytest.mark.parametrize(
    ("host", "port", "message"),
    [
        ("127.0.0.1", -1, "expected 0 to 65535"),
        ("127.0.0.1", 70000, "expected 0 to 65535"),
        ("no such host", 0, "--host and --port"),
    ],
)
def test_an_address_that_cannot_be_used_is_a_users_error(runs, host, port, message):
    with pytest.raises(UserError, match=message):
        ReportServer(runs, host, port)


def test_a_port_in_use_and_a_missing_folder_are_a_users_error(server, runs):
    with pytest.raises(UserError, match="choose others"):
        ReportServer(runs, "127.0.0.1", server.server_address[1])
    with pytest.raises(UserError, match="--runs"):
        ReportServer(runs / "none", "127.0.0.1", 0)


def test_all_reports_of_a_run_are_served_and_no_other_file_of_it():
    assert {*TYPES} == {*RENDERERS, *OF_PAGE, "dashboard.json"}
    assert file_of("/r1/report.html") == Served(("r1", "report.html"), "text/html; charset=utf-8")
