"""The Python door as a pytest plugin: the fixture `served` is a case that is served for the tests.

Enable it with `pytest -p ci.pytest_door`, or in conftest.py:

    pytest_plugins = ["ci.pytest_door"]

The case is that of `--case FILE`, or that of a marker with the arguments of `ci.door.serve`:

    @pytest.mark.case("local.yaml", set=["deployment[0].server_port=8001"])
    def test_it_answers(served):
        assert served.client().models.list().data

A case is served once for all tests that name it in the same way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from ci.door import serve

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.door import Server

MARKER = (
    "case(config, **flags): the case that the fixture `served` serves for this test; with the "
    "arguments of ci.door.serve"
)
FLAGS = {
    "cluster": "cluster file of --case: a path, or a name in configs/clusters",
    "vllm": "vLLM version of --case, of configs/versions.yaml",
    "device": "cpu, cuda or ascend, for --case",
    "workspace": "folder on the hosts of --case for environments, models and the state of runs",
    "runs": "folder with one folder per run",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--case` and what it may need; see `pytest --help`."""
    group = parser.getgroup("lamplighter")
    group.addoption("--case", default="", help="case that the fixture `served` serves")
    group.addoption(
        "--case-set", action="append", default=[], help="KEY=VALUE in place of the case's value"
    )
    for name, text in FLAGS.items():
        group.addoption(f"--case-{name}", default="", help=text)


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line("markers", MARKER)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give each test with the fixture its case: the marker's, else that of the command line."""
    if "served" not in metafunc.fixturenames:
        return
    marker = metafunc.definition.get_closest_marker("case")
    if marker is not None:
        arguments = _bound(*marker.args, **marker.kwargs)
    else:
        arguments = _of_command_line(metafunc.config)
    # The same object for the same case: pytest compares parameters by identity.
    known = metafunc.config.stash.setdefault(_KNOWN, {})
    case = known.setdefault(repr(sorted(arguments.items())), arguments)
    name = arguments.get("config") or "no case"
    metafunc.parametrize("served", [case], ids=[name], indirect=True, scope="session")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Bring the tests of a case together, so that it is served once; others stay in place."""
    users = [index for index, item in enumerate(items) if _case_of(item) is not None]
    first: dict[int, int] = {}
    for index in users:
        first.setdefault(id(_case_of(items[index])), index)
    grouped = sorted((items[index] for index in users), key=lambda item: first[id(_case_of(item))])
    for index, item in zip(users, grouped, strict=True):
        items[index] = item


@pytest.fixture(scope="session")
def served(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve a case, see `ci.door.serve`, until the last test that uses it has ended."""
    arguments: dict[str, Any] = request.param
    if not arguments.get("config"):
        pytest.fail("name the case: pytest --case FILE, or @pytest.mark.case(FILE)", pytrace=False)
    with serve(**arguments) as server:
        yield server


_KNOWN = pytest.StashKey[dict[str, dict[str, Any]]]()


def _case_of(item: pytest.Item) -> object:
    """Return the parameter of `served`; None of a test without it."""
    callspec = getattr(item, "callspec", None)
    return callspec.params.get("served") if callspec else None


def _bound(config: str, **flags: Any) -> dict[str, Any]:  # noqa: ANN401 - of `serve`
    return {"config": config, **flags}


def _of_command_line(config: pytest.Config) -> dict[str, Any]:
    values = {name: config.getoption(f"--case-{name}") for name in ("set", *FLAGS)}
    given = {name: value for name, value in values.items() if value}
    return {"config": config.getoption("--case"), **given}
