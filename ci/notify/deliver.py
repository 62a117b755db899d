"""Tell about nights: collect what is news, write it for each receiver, send it, note the outcome.

`notify` is what a suite calls at its end. It raises nothing that is wrong with a receiver, and
takes no longer than `tries.DEADLINE_S`: who is told is never the outcome of a night.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ci.connect.printed import clean, one_line
from ci.errors import UserError
from ci.notify.before import history_of, night_before
from ci.notify.change import change
from ci.notify.links import report_link, workflow_link
from ci.notify.mail import mail_of, send
from ci.notify.message import message, night_news
from ci.notify.payload import fitted
from ci.notify.post import post
from ci.notify.receiver import receiver_of, secrets_for
from ci.notify.template import read_template, writer
from ci.notify.tries import DEADLINE_S, Clock
from ci.record.below import read_below
from ci.record.cause import message_of
from ci.record.disk import Folder
from ci.record.known_secrets import hide_known
from ci.record.stored import read_run

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Mapping, Sequence

    from ci.notify.message import Message, NightNews
    from ci.notify.receiver import Receiver
    from ci.suite.notifying import Notify

FILE = "notified.json"
MAX_BYTES = 1 << 20
# Keys whose values are words of a service, which no secret may take away.
_WORDS = frozenset({"msg_type", "msgtype", "outcome", "source", "tag", "type"})
# A receiver's thread that takes longer than its own deadline hangs.
GRACE_S = 5.0


@dataclass(frozen=True)
class Ended:
    """A night that has ended.

    Attributes:
        folder: the run's folder.
        owner: whom its failures concern; empty if nobody is named.
        muted: its failures do not count: it is told to nobody.
    """

    folder: Path
    owner: str = ""
    muted: bool = False


@dataclass(frozen=True)
class Delivery:
    """What became of a message to one receiver.

    Attributes:
        to: the receiver, for notes.
        outcome: sent; quiet: nothing is news; failed; shown: by `--dry-run`.
        note: why it failed, what is quiet, or what else is to be known; one line without secrets.
        payload: what was sent, or would be, as text without secrets.
    """

    to: str
    outcome: Literal["sent", "quiet", "failed", "shown"]
    note: str = ""
    payload: str = ""


@dataclass(frozen=True)
class _Night:
    """A night, what is told of it, and to whom the last message about it did not come."""

    news: NightNews
    folder: Path
    muted: bool
    missed: frozenset[str]


@dataclass(frozen=True)
class _Source:
    """What messages are made of: name of the suite, remarks, nights, and where templates lie."""

    name: str
    remarks: tuple[str, ...]
    nights: tuple[_Night, ...]
    folder: Path


def notify(  # noqa: PLR0913 - each is one thing that a caller may know
    nights: Sequence[Ended],
    wanted: Notify,
    *,
    name: str = "",
    suite_file: str = "",
    remarks: tuple[str, ...] = (),
    same_evening: Collection[str] = (),
    dry_run: bool = False,
    env: Mapping[str, str] | None = None,
    clock: Clock | None = None,
) -> tuple[Delivery, ...]:
    """Tell about nights that have ended; with several receivers to all of them at once.

    Args:
        nights: they have records.
        wanted: `notify` of the suite.
        name: of the suite; empty for a run alone.
        suite_file: its path; templates are found from it on.
        remarks: further news, e.g. which nights did not begin and why; with them a message is never
            quiet.
        same_evening: ids of further runs that are not "the night before", e.g. those that were run
            again on other hosts.
        dry_run: send nothing, and write nothing; the deliveries have the payloads.
        env: the environment, which has the secrets; None for that of this process.
        clock: for waiting between tries.

    Returns:
        One delivery for each receiver. What is wrong with a receiver is in its note.
    """
    env = os.environ if env is None else env
    receivers = [receiver_of(target, env) for target in wanted.to]
    secrets = secrets_for(receivers, env)

    def hide(text: str) -> str:
        return hide_known(text, secrets)

    collected, problems = _collect(nights, wanted, same_evening, hide)
    source = _Source(
        name, (*map(hide, remarks), *problems), tuple(collected), Path(suite_file).parent
    )
    sending = [_Sending(receiver, wanted, source, hide) for receiver in receivers]
    for each in sending:
        each.prepare(workflow_link(env))
    if not dry_run:
        _send_all(sending, clock or Clock())
        _remember(collected, sending)
    return tuple(each.delivery(dry_run=dry_run) for each in sending)


def _collect(
    nights: Sequence[Ended],
    wanted: Notify,
    same_evening: Collection[str],
    hide: Callable[[str], str],
) -> tuple[list[_Night], tuple[str, ...]]:
    """Read the nights; also return a line for each that cannot be read."""
    found: list[_Night] = []
    problems: list[str] = []
    ids = {*same_evening, *(each.folder.name for each in nights)}
    with ExitStack() as open_until_read:
        histories: dict[Path, sqlite3.Connection | None] = {}
        for runs in {each.folder.parent for each in nights}:
            try:
                history = open_until_read.enter_context(history_of(runs, lambda _: None))
            except Exception as error:  # noqa: BLE001 - a night without a past is news
                problems.append(f"history: {message_of(error)}")
                history = None
            histories[runs] = history
        for each in nights:
            try:
                found.append(_night(each, histories[each.folder.parent], wanted, ids, hide))
            except Exception as error:  # noqa: BLE001 - the others are told
                problems.append(f"{each.folder.name}: {message_of(error)}")
    return found, tuple(hide(one_line(text)) for text in problems)


def _night(
    ended: Ended,
    history: sqlite3.Connection | None,
    wanted: Notify,
    same_evening: Collection[str],
    hide: Callable[[str], str],
) -> _Night:
    # The page takes a second to import, which only a message needs.
    from ci.report.page.build import page_of  # noqa: PLC0415

    stored = read_run(ended.folder)
    before = night_before(history, ended.folder, stored.run, same_evening, lambda _: None)
    news = night_news(
        page_of(ended.folder, stored.run),
        change(stored.run, before.run if before else None),
        hide,
        before=before.run.id if before else "",
        owner=ended.owner,
        link=report_link(wanted.link or "", ended.folder.name),
        folder=str(ended.folder.absolute()),
    )
    missed = _missed(before.folder) if before else frozenset()
    return _Night(news, ended.folder, ended.muted, missed)


class _Sending:
    """A message on its way to one receiver."""

    def __init__(
        self, receiver: Receiver, wanted: Notify, source: _Source, hide: Callable[[str], str]
    ) -> None:
        self.receiver = receiver
        self.outcome: Literal["sent", "quiet", "failed"] = "failed"
        self.made: dict[str, Any] | None = None
        self._wanted, self._source, self._hide = wanted, source, hide
        self._notes: list[str] = []

    def prepare(self, elsewhere: str) -> None:
        """Build the payload; without news there is still one to show.

        Args:
            elsewhere: address of the workflow's run; empty outside of one.
        """
        target, source = self.receiver.target, self._source
        always = self._wanted.always if target.always is None else target.always
        counted = [night for night in source.nights if not night.muted]
        told = [news for night in counted if (news := self._told(night, always=always))]
        quiet = len(counted) - len(told)
        if not told and not source.remarks:
            self.outcome = "quiet"
            self._notes.append(f"nothing changed in {_counted(quiet)}")
            told = [night.news for night in counted]
        built = message(
            told, name=source.name, same=quiet if source.name else 0, remarks=source.remarks
        )
        base = self._wanted.link or ""
        whole = f"{base.rstrip('/')}/" if base and source.name else ""
        try:
            self.made = self._fitted(replace(built, link=whole or elsewhere))
        except Exception as error:  # noqa: BLE001 - a message is never the outcome of a night
            self._notes.append(f"cannot be written: {type(error).__name__}: {message_of(error)}")

    def _told(self, night: _Night, *, always: bool) -> NightNews | None:
        if night.news.change != "same" or always:
            return night.news
        missed = self.receiver.label in night.missed
        return replace(night.news, change="untold") if missed else None

    def _fitted(self, built: Message) -> dict[str, Any]:
        target = self.receiver.target
        chosen = self._source.folder / target.template if target.template else None
        try:
            template = read_template(chosen)
            made = self._payload(template, built)
        except UserError as error:
            if chosen is None:
                raise
            # An operator's slip should not cost the message.
            self._notes.append(f"sent with the project's own template: {error}")
            made = self._payload(read_template(None), built)
        hidden: dict[str, Any] = _hidden(made, self._hide)
        return hidden

    def _payload(self, template: tuple[str, str], built: Message) -> dict[str, Any]:
        target = self.receiver.target
        write = writer(template, target.service, target.mention)
        return fitted(target.service, built, write, target.mention)

    def send(self, clock: Clock) -> None:
        """Send the payload."""
        if self.outcome == "quiet" or self.made is None:
            return
        if self.receiver.missing:
            self._notes.append(self.receiver.missing)
            return
        target = self.receiver.target
        try:
            if target.service == "email":
                mail = mail_of(target, self.made, datetime.now(UTC))
                problem = send(target, mail, self.receiver.login, clock)
            else:
                problem = post(
                    target.service,
                    self.receiver.url,
                    self.made,
                    sign_secret=self.receiver.sign_secret,
                    clock=clock,
                )
        except Exception as error:  # noqa: BLE001 - a message is never the outcome of a night
            problem = f"{type(error).__name__}: {message_of(error)}"
        self.outcome = "failed" if problem and not problem.startswith("delivered") else "sent"
        if problem:
            self._notes.append(problem)

    def hang(self) -> None:
        """Note that the receiver has not answered in time."""
        self._notes.append(f"no end within {DEADLINE_S + GRACE_S:.0f} s")

    def delivery(self, *, dry_run: bool) -> Delivery:
        """Return what became of it."""
        notes = [*self._notes]
        if dry_run and self.receiver.missing:
            notes.append(self.receiver.missing)
        shown = dict(self.made or {})
        if self.receiver.sign_secret and self.receiver.target.service == "feishu":
            shown = {"timestamp": "***", "sign": "***", **shown}
        text = json.dumps(shown, ensure_ascii=False, indent=2)
        return Delivery(
            to=self._hide(clean(self.receiver.label)),
            outcome="shown" if dry_run and self.outcome != "quiet" else self.outcome,
            note=self._hide(one_line("; ".join(notes))),
            payload=text,
        )


def _hidden(tree: Any, hide: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON
    """Hide secrets in every text once more: a template may have put some together."""
    if isinstance(tree, dict):
        return {
            key: value if key in _WORDS else _hidden(value, hide) for key, value in tree.items()
        }
    if isinstance(tree, list | tuple):
        return [_hidden(value, hide) for value in tree]
    return hide(tree) if isinstance(tree, str) else tree


def _send_all(sending: Sequence[_Sending], clock: Clock) -> None:
    """Send to all receivers at once; none of them holds up the others or the suite."""
    threads = [
        # A daemon: a receiver that hangs does not hold up the end of the program either.
        threading.Thread(target=each.send, args=(clock,), name=each.receiver.label, daemon=True)
        for each in sending
    ]
    for thread in threads:
        thread.start()
    end_s = clock.now_s() + DEADLINE_S + GRACE_S
    for each, thread in zip(sending, threads, strict=True):
        thread.join(max(0.0, end_s - clock.now_s()))
        if thread.is_alive():
            each.hang()


def _missed(folder: Path) -> frozenset[str]:
    """Return the receivers whom the last message about a night did not reach."""
    try:
        tree = json.loads(read_below(folder, FILE, MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return frozenset()
    told = tree.get("receivers") if isinstance(tree, dict) else None
    if not isinstance(told, dict):
        return frozenset()
    return frozenset(str(name) for name, outcome in told.items() if outcome == "failed")


def _remember(nights: Sequence[_Night], sending: Sequence[_Sending]) -> None:
    """Write beside each night who was told: who was not is told by the next one."""
    told = {each.receiver.label: each.outcome for each in sending}
    for night in nights:
        if night.muted:
            continue
        tree = {"schema": 1, "receivers": told}
        folder = Folder(night.folder, lambda _: None)
        folder.write(FILE, json.dumps(tree, ensure_ascii=False, indent=2) + "\n")


def _counted(nights: int) -> str:
    return "1 night" if nights == 1 else f"{nights} nights"
