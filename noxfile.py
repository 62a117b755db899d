# /// script
# requires-python = ">=3.11"
# # As uv.lock has them; `nox -s tests -- tests/unit/project/test_lock.py` compares.
# dependencies = ["nox==2026.10.20", "pydantic==2.14.4", "pyyaml==6.0.4", "uv==0.13.9"]
# ///
"""The project's own checks. Start with `pip install nox && nox -s tests`."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path

import nox

PROJECT = Path(__file__).resolve().parent
sys.path.insert(0, str(PROJECT))

from ci.case.model import DEVICES, Device  # noqa: E402
from ci.catalog import environments  # noqa: E402 - importable only after the path is set
from ci.errors import UserError  # noqa: E402
from ci.inventory.this_machine import detect_device, require_device  # noqa: E402
from ci.paths import of_machine  # noqa: E402

nox.needs_version = ">=2025.5.1"
nox.options.sessions = ["tests", "lint", "types"]
nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"

PYPROJECT = nox.project.load_toml(PROJECT / "pyproject.toml")
VERSIONS = environments.load_versions(PROJECT / "configs" / "versions.yaml")
MODELS = environments.load_models(PROJECT / "configs" / "models.yaml")
# The version that the local default serves, a second version that the tests serve, and the tools.
VLLM = environments.servable(VERSIONS, "cpu")[0]
EARLIER_VLLM = "0.30.0"
TOOLS = ("aisbench", "lm_eval", "evalscope")
ROUTER = "vllm-router"
SHELL_SCRIPTS = (".ci/run", ".github/hooks/pre-push", "benchmarks/idle.sh")
# Parallel workers on two cores: light tests mostly wait; two vLLM servers need 8 GB of memory.
_LIGHT = "4"
_REAL = "2"


@nox.session
def tests(session: nox.Session) -> None:
    """Run all tests: unit, then integration and faults, then real vLLM on this machine.

    Stops at the first failure. `-- tests/unit` runs only these tests, with the environments that
    exist already. Without root, tests that need root are skipped with that reason.
    """
    _install(session, "tests")
    if session.posargs:
        session.run("pytest", *session.posargs, env=_tool_folders())
        return
    _pytest(session, "tests/unit", workers="auto")
    _set_up(session)
    _pytest(session, "tests/faults", "tests/integration", "-m", "not long", workers=_LIGHT)
    _pytest(session, "tests/e2e", "-m", "not long", workers=_REAL)
    session.run("pytest", "tests/e2e/test_version.py", "--vllm", EARLIER_VLLM)


@nox.session(default=False)
def faults(session: nox.Session) -> None:
    """Inject every fault that a night has to survive, on lab hosts; print the table. Needs root.

    `-- -k disk` runs only the faults with this word in their name.
    """
    _install(session, "tests")
    _set_up(session)
    _pytest(
        session, "tests/faults", "tests/integration/suite_run", *session.posargs, workers=_LIGHT
    )


@nox.session(default=False)
def scoring(session: nox.Session) -> None:
    """Score 0, 70 and 100 % correct answers: each tool, each form, passes; run each benchmark."""
    _install(session, "tests")
    _set_up(session)
    tables = ("scoring", "forms", "evalscope_datasets", "case_benchmarks")
    paths = [f"tests/integration/tools/test_{table}.py" for table in tables]
    paths.append("tests/integration/nightly/test_night_repeats.py")
    _pytest(session, *paths, *session.posargs, workers="auto")


@nox.session(default=False)
def large(session: nox.Session) -> None:
    """Run the whole nights of the large cases, with a stand-in for vLLM. Needs root."""
    _install(session, "tests")
    _set_up(session)
    _pytest(session, "tests/integration/large", *session.posargs, workers=_REAL)


@nox.session(default=False)
def slurm(session: nox.Session) -> None:
    """Inject the faults of hosts from Slurm, with a real slurmctld; print the table. Needs root.

    As root on Debian it installs slurmctld, slurmd, slurm-client, munge and libpam-slurm-adopt, and
    starts none of their services outside the lab.
    """
    _install(session, "tests")
    session.run("python", "-m", "ci.lab", "slurm")
    _set_up(session)
    files = ("tests/faults/test_slurm.py", "tests/faults/test_slurm_suites.py")
    _pytest(session, *files, *session.posargs, workers=_REAL)


@nox.session(default=False)
def functional(session: nox.Session) -> None:
    """Run the whole functional suite twice against real vLLM, and in front of spoilt servers."""
    _install(session, "tests")
    _set_up(session)
    _pytest(session, "tests/e2e/test_functional.py", *session.posargs, workers="1")


@nox.session(default=False)
def browser(session: nox.Session) -> None:
    """Open the pages in headless Chromium: axe, requests, both themes, the keyboard.

    Needs Node.js 20 and a Chromium, e.g. Debian's package; skips its tests with the reason where
    they are missing.
    """
    _install(session, "tests")
    if shutil.which("npm"):
        with session.chdir("tests/browser"):
            session.run("npm", "ci", "--no-audit", "--no-fund", external=True)
    _pytest(session, "tests/browser", *session.posargs, workers="1")


@nox.session(name="prefill-decode", default=False)
def prefill_decode(session: nox.Session) -> None:
    """Prove prefill and decode apart with real vLLM on lab hosts, behind routers. Needs root."""
    _install(session, "tests")
    _set_up(session)
    _pytest(session, "tests/e2e/test_prefill_decode.py", *session.posargs, workers="1")


@nox.session(name="tests-newest", default=False, reuse_venv=False)
def tests_newest(session: nox.Session) -> None:
    """Run unit and integration tests with the newest packages that pyproject.toml allows."""
    _test_resolved(session, "highest")


@nox.session(name="tests-lowest", python="3.11", default=False, reuse_venv=False)
def tests_lowest(session: nox.Session) -> None:
    """Run unit and integration tests with the lowest versions that pyproject.toml allows."""
    _test_resolved(session, "lowest-direct")


@nox.session
def lint(session: nox.Session) -> None:
    """Check style, format, layers of imports, workflows, scripts, and that uv.lock is current."""
    _install(session, "lint")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports")
    workflows = sorted(map(str, (PROJECT / ".github" / "workflows").glob("*.yml")))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("shellcheck", *SHELL_SCRIPTS)


@nox.session
def types(session: nox.Session) -> None:
    """Run mypy in strict mode."""
    _install(session, "types")
    session.run("mypy")


@nox.session(default=False)
def e2e(session: nox.Session) -> None:
    """Test every vLLM version that this machine can serve; `-- --device KIND` selects the kind."""
    versions = environments.servable(VERSIONS, _device(session))
    if not versions:
        session.error(f"configs/versions.yaml has no vLLM for a {_device(session)} machine")
    _end_to_end(session, *versions)


def _version_session(version: str) -> None:
    def run(session: nox.Session) -> None:
        _end_to_end(session, version)

    run.__doc__ = f"Test with vLLM {version} on {' or '.join(VERSIONS[version])}."
    nox.session(name=f"e2e-{version}", default=False)(run)


for known in VERSIONS:
    _version_session(known)


def _end_to_end(session: nox.Session, *versions: str) -> None:
    place = environments.InstallTarget("localhost", "")
    try:
        require_device(_device(session))
        for version in versions:
            environments.serving(VERSIONS, version, _device(session), place)
    except UserError as error:
        session.error(str(error))
    _install(session, "tests")
    for version in versions:
        session.run("pytest", "tests/e2e", "--vllm", version, *session.posargs)


def _device(session: nox.Session) -> Device:
    """Return the kind after `--device`, else the kind of this machine."""
    words = [part for word in session.posargs for part in word.split("=", 1)]
    if "--device" not in words:
        return detect_device()
    device = "".join(words[words.index("--device") + 1 :][:1])
    if device not in DEVICES:
        session.error(f"--device {device}: expected one of {', '.join(DEVICES)}")
    return device


def _pytest(session: nox.Session, *arguments: str, workers: str) -> None:
    """Run tests in parallel, as tests/in_parallel.py distributes them; list the slowest.

    As root each worker has its own network, see tests/own_network.py. Without root all nights would
    share one network and disturb each other, so they run one after another.
    """
    serial = os.geteuid() != 0 and "tests/unit" not in arguments
    parallel = ("-n", "0" if serial else workers)
    session.run("pytest", *arguments, *parallel, "--durations=20", env=_tool_folders())


def _set_up(session: nox.Session) -> None:
    """Make what tests need besides Python packages: environments, models, and programs for a lab.

    Lab hosts see this machine's files. If they had to make environments themselves, the tests would
    report these as files left behind.
    """
    make = ("python", "-m", "ci.prepare", "--device", "cpu")
    session.run("python", "-m", "ci.lab")
    session.run(*make, *TOOLS, ROUTER, *MODELS, "--vllm", VLLM)
    session.run(*make, "--vllm", EARLIER_VLLM)


def _install(session: nox.Session, group: str) -> None:
    """Install the packages of uv.lock, checked by hash, and this working tree.

    Fails if uv.lock is out of date. The packages come from the index that uv is configured for,
    PyPI or a mirror of it; the lock file names PyPI on every machine.
    """
    locked = str(Path(session.virtualenv.location, "locked.txt"))
    export = ("--no-emit-project", "--no-header", "--output-file", locked)
    groups = ("--group", group, "--group", "build")
    session.run_install("uv", "export", "--quiet", "--locked", *groups, *export, env=_pypi_alone())
    session.run_install("uv", "pip", "sync", "--quiet", "--require-hashes", locked)
    session.install("--quiet", "--no-deps", "--no-build-isolation", "-e", ".")


def _pypi_alone() -> dict[str, str | None]:
    """Unset this machine's settings of uv: with a mirror, every lock would look outdated."""
    settings = [name for name in os.environ if name.startswith("UV_") and name != "UV_CACHE_DIR"]
    return {**dict.fromkeys(settings), "UV_DEFAULT_INDEX": "https://pypi.org/simple"}


def _test_resolved(session: nox.Session, resolution: str) -> None:
    """Run tests with newly resolved packages, without uv.lock; skip tests of absent tools."""
    groups = nox.project.dependency_groups(PYPROJECT, "tests")
    session.install("--quiet", "--upgrade", "--resolution", resolution, "-e", ".", *groups)
    session.run("uv", "pip", "list")
    if session.posargs:
        session.run("pytest", *session.posargs, env=_tool_folders())
        return
    _pytest(session, "tests/unit", workers="auto")
    session.run("python", "-m", "ci.lab")
    _pytest(session, "tests/integration", "-m", "not long", workers=_LIGHT)


def _tool_folders() -> dict[str, str]:
    """Return environment variables with the folders of the tools that exist on this machine."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    workspace = os.environ.get("LAMPLIGHTER_WORKSPACE") or f"{cache}/lamplighter"
    names = {"VLLM": f"vllm-{VLLM}", **{name.upper(): name for name in TOOLS}}
    folders = {
        name: Path(of_machine(f"{workspace}/envs/{folder}", platform.machine()), "bin")
        for name, folder in names.items()
    }
    return {
        f"LAMPLIGHTER_TEST_{name}_BIN": str(folder)
        for name, folder in folders.items()
        if folder.is_dir()
    }


@nox.session(python=["3.11", "3.12", "3.13", "3.14"], default=False)
def controllers(session: nox.Session) -> None:
    """Test the controller, without vLLM, on every supported Python that is installed.

    `nox -s tests` runs a light night on each; this adds the tests of units, hosts and reports.
    """
    _install(session, "tests")
    rooms = ("agent", "commands", "connect", "nightly", "record", "serve")
    defaults = ["tests/unit", *(f"tests/integration/{room}" for room in rooms)]
    session.run("pytest", *(session.posargs or defaults))
