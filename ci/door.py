"""The Python door: serve a case from a program, with all that a night has.

    from ci.door import serve

    with serve("local.yaml") as server:
        client = server.client()
        answer = client.completions.create(model=server.model, prompt="2, 4, 6,")

The program then tests, measures or explores by itself. The supervisor, readiness, leases, logs and
the record in `runs/` are those of `inv up`, and the hosts are handed back on every exit.
"""

from __future__ import annotations

import ssl
import sys
import threading
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ci import crashes
from ci.case import load as cases
from ci.errors import Interrupted, LamplighterError, UserError
from ci.explain.rules import own_rules
from ci.inventory.this_machine import require_device
from ci.judge.verdict import judge
from ci.nightly import allocation_ended, begin, first_cause_of
from ci.paths import CONFIGS
from ci.prove import prove
from ci.record.cause import message_of
from ci.report.console import Plain
from ci.report.screen import SafeStream, report_in
from ci.request import Request
from ci.resolve import resolve_case
from ci.run.allocation import allocation_for
from ci.run.events import cause_of_end
from ci.run.explained import explained, may_be_explained
from ci.run.interrupt import Interrupts, interrupts
from ci.serve.bringup import answering
from ci.serve.fronts import ENDPOINT, fronts
from ci.serve.watch import watch_health
from ci.session import on_allocated, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import openai

    from ci.judge.verdict import Check
    from ci.plan.model import Plan
    from ci.record.record import Record
    from ci.record.view import View
    from ci.resolve import ResolvedCase
    from ci.run.allocation import Allocation
    from ci.run.events import Events
    from ci.serve.fronts import Front
    from ci.session import Served

__all__ = ["Server", "serve"]

# As vLLM's own tests: a long answer of a slow model is not an error.
TIMEOUT_S = 600.0
# OpenAI's clients refuse to start without a key; servers without a key ignore it.
NO_KEY = "EMPTY"

# Importing `ci` has set hooks for uncaught exceptions of `inv`.
crashes.leave_to_program()


@dataclass(frozen=True)
class Server:
    """A served case. The names are those of vLLM's own tests (`RemoteOpenAIServer`).

    Attributes:
        model: the model's name in requests.
        url_root: base URL of the endpoint, without a path; valid until the `with` block ends.
        urls: name in the plan → base URL, of the router and of each server with an API, such as
            `server-0`, `prefill-0` or `decode-1`.
        plan: the plan of the run, as on the hosts.
        run_folder: the record of the run; it has the logs once the `with` block has ended.
    """

    model: str
    url_root: str
    urls: Mapping[str, str]
    plan: Plan = field(repr=False)
    run_folder: Path
    _fronts: Mapping[str, Front] = field(repr=False)
    _clients: ExitStack = field(repr=False)

    @property
    def host(self) -> str:
        """Return the host of `url_root`."""
        return urlsplit(self.url_root).hostname or ""

    @property
    def port(self) -> int:
        """Return the port of `url_root`."""
        return urlsplit(self.url_root).port or 0

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers that a request of your own needs: the API key, if there is one."""
        key = self._fronts[""].key
        return {"Authorization": f"Bearer {key}"} if key else {}

    def url_for(self, *parts: str) -> str:
        """Return the URL of a path of the endpoint: `url_for("v1", "models")`."""
        return "/".join([self.url_root, *parts])

    def client(self, server: str = "", **settings: Any) -> openai.OpenAI:  # noqa: ANN401 - OpenAI's
        """Make a client; it is closed when the `with` block ends.

        Args:
            server: one of `urls`; empty for the endpoint.
            settings: arguments of `openai.OpenAI`. Without them a request has 600 seconds, is not
                repeated after an error, and goes through no proxy.
        """
        import openai  # noqa: PLC0415 - takes more than a second

        front = self._front(server)

        def name(request: Any) -> None:  # noqa: ANN401 - of httpx
            request.extensions["sni_hostname"] = front.name

        if "http_client" not in settings:
            settings["http_client"] = openai.DefaultHttpxClient(**_http(front, name))
        client = openai.OpenAI(**_settings(front, settings))
        self._clients.callback(client.close)
        return client

    def async_client(self, server: str = "", **settings: Any) -> openai.AsyncOpenAI:  # noqa: ANN401
        """Make an asynchronous client; close it with `async with` or `await client.close()`.

        Args:
            server: as for `client`.
            settings: arguments of `openai.AsyncOpenAI`, as for `client`.
        """
        import openai  # noqa: PLC0415 - takes more than a second

        front = self._front(server)

        async def name(request: Any) -> None:  # noqa: ANN401 - of httpx
            request.extensions["sni_hostname"] = front.name

        if "http_client" not in settings:
            settings["http_client"] = openai.DefaultAsyncHttpxClient(**_http(front, name))
        return openai.AsyncOpenAI(**_settings(front, settings))

    get_client = client
    get_async_client = async_client

    def _front(self, server: str) -> Front:
        if server not in self._fronts:
            there = ", ".join(self.urls)
            raise UserError(f"the case has no server {server!r} with an API; there are: {there}")
        return self._fronts[server]


def _http(front: Front, name: Callable[[Any], object]) -> dict[str, Any]:
    """Return arguments of an HTTP client that verifies the server by the name of its host."""
    if not front.trust:
        return {"trust_env": False}
    verify = ssl.create_default_context(cadata=front.trust)
    return {"trust_env": False, "verify": verify, "event_hooks": {"request": [name]}}


def _settings(front: Front, settings: Mapping[str, Any]) -> dict[str, Any]:
    own = {"base_url": f"{front.url}/v1", "api_key": front.key or NO_KEY}
    return {**own, "timeout": TIMEOUT_S, "max_retries": 0, **settings}


@contextmanager
def serve(  # noqa: PLR0913 - the flags of `inv up`
    config: str,
    *,
    cluster: str = "",
    local: bool = False,
    set: Sequence[str] = (),  # noqa: A002 - the flag's name
    vllm: str = "",
    device: str = "",
    workspace: str = "",
    runs: str | Path = "runs",
    skip_doctor: bool = False,
    wait: bool = False,
) -> Iterator[Server]:
    """Serve a case while the `with` block runs; the arguments are the flags of `inv up`.

    Makes what is missing, locks and examines the hosts, starts the servers, and waits for their
    first tokens. On exit it fetches the logs, stops every process and hands the hosts back, also
    after an error or Ctrl-C in the block, which is then raised as it is. Progress goes to stderr.

    Args:
        config: case file: a path, or a name in configs/cases; `FILE#NAME` chooses one of several.
        cluster: cluster file: a path, or a name in configs/clusters; empty for the case's hosts.
        local: run on this machine; ignore the case's hosts.
        set: `KEY=VALUE` in place of the file's values.
        vllm: a version of configs/versions.yaml; empty for the case's.
        device: cpu, cuda or ascend; empty for the case's, else what the hosts have.
        workspace: folder on the hosts for environments, models and the state of runs.
        runs: folder with one folder per run.
        skip_doctor: do not examine the hosts first.
        wait: queue for hosts that another run holds, instead of failing.

    Raises:
        LamplighterError: the case cannot be served, or a server ended meanwhile; with the message
            of a night. A `UserError` before anything is started.
        KeyboardInterrupt: Ctrl-C, SIGTERM or SIGHUP; the hosts are handed back.
    """
    request = Request(
        config=config,
        cluster=cluster,
        local=local,
        set=(set,) if isinstance(set, str) else tuple(set),
        vllm=vllm,
        device=device,
        workspace=workspace,
        runs=str(runs),
        skip_doctor=skip_doctor,
        wait=wait,
        measure=False,
    )
    resolved = _resolved(request)
    allocation = allocation_for(request, resolved.case.num_hosts)
    with (
        closing(Plain(SafeStream(sys.stderr))) as view,
        _signals(view) as received,
        allocation or nullcontext(),
        begin(request, resolved, view, _argv(request)) as record,
    ):
        yield from _serve(request, resolved, record, received, allocation)


def _resolved(request: Request) -> ResolvedCase:
    own_rules()  # a mistake in it is reported before anything is started
    case = cases.load_one(request.config, CONFIGS / "cases", request.set)
    resolved = resolve_case(case.model_copy(update={"benchmarks": (), "startup": {}}), request)
    if resolved.inputs.local:
        require_device(request.device or case.device or "cpu")
    return resolved


def _signals(view: View) -> AbstractContextManager[Interrupts]:
    """Take signals while nothing of the caller runs; Python allows that in the main thread only."""
    if threading.current_thread() is threading.main_thread():
        return interrupts(view.warn, ends_process=False)
    return nullcontext(Interrupts())


def _argv(request: Request) -> list[str]:
    """Return the command that serves the same case, for the record."""
    words = ["inv", "up", "--config", request.config]
    for name in ("cluster", "vllm", "device", "workspace"):
        words += [f"--{name}", value] if (value := getattr(request, name)) else []
    for setting in request.set:
        words += ["--set", setting]
    switches = ("local", "skip_doctor", "wait")
    return words + [f"--{name.replace('_', '-')}" for name in switches if getattr(request, name)]


def _serve(
    request: Request,
    resolved: ResolvedCase,
    record: Record,
    received: Interrupts,
    allocation: Allocation | None,
) -> Iterator[Server]:
    """Serve while the caller's block runs, and complete the record."""
    checks: tuple[Check, ...] = ()
    of_caller: list[BaseException] = []
    error: BaseException | None = None
    try:
        request, resolved = on_allocated(request, resolved, record, received, allocation)
        with serving(request, resolved, record, record.view, received, allocation) as served:
            checks = prove(served, record)
            with _server(served, record) as server, _watched(served):
                try:
                    with received.left_to_caller():
                        record.note(f"served at {server.url_root}")
                        yield server
                except BaseException as raised:
                    of_caller.append(raised)
                    raise
                raise_end_of_server(served.processes.events)
    except BaseException as raised:
        error = raised if raised in of_caller else _explained(raised, record, allocation)
        if error is raised:
            raise
        raise error from raised
    finally:
        allocation_ended(error, record, allocation)
        verdict = judge((), {}, cause=message_of(error) if error else "", extra=checks)
        record.finish(verdict, error, interrupted=bool(received.first))
        record.view.outcome(record.run, report_in(record.path))


def _explained(
    error: BaseException, record: Record, allocation: Allocation | None
) -> BaseException:
    """Return the error that a night would report; an interrupt as Python's own."""
    error = allocation.explained(error, record) if allocation else error
    if isinstance(error, Interrupted):
        return KeyboardInterrupt(str(error))
    if may_be_explained(error) and (explanation := first_cause_of(record)):
        return explained(error, explanation)
    return error


def raise_end_of_server(events: Events) -> None:
    """Raise the reason why a server ended, or no longer serves; nothing if all of them serve.

    Raises:
        ProcessDied, HostLost, Interrupted: the first event.
    """
    if not events.empty():
        raise cause_of_end(events.get())


@contextmanager
def _watched(served: Served) -> Iterator[None]:
    """Note at an error of the caller's block that a server ended before it."""
    agents, events = served.processes.agents, served.processes.events
    healthy = answering(served.plan.processes, served.servers)
    try:
        with watch_health(healthy, agents, events):
            yield
    except Exception as error:
        if isinstance(error, LamplighterError):
            raise
        try:
            raise_end_of_server(events)
        except LamplighterError as cause:
            error.add_note(f"before it a server ended: {cause}")
        raise


@contextmanager
def _server(served: Served, record: Record) -> Iterator[Server]:
    plan = served.plan
    with fronts(plan, served.processes.agents) as reached, ExitStack() as clients:
        yield Server(
            model=plan.endpoint.model,
            url_root=reached[ENDPOINT].url,
            urls={name: front.url for name, front in reached.items() if name != ENDPOINT},
            plan=plan,
            run_folder=record.path,
            _fronts=reached,
            _clients=clients,
        )
