"""Write a message for a receiver, and send it; all receivers at once."""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from ci.connect.printed import clean, one_line
from ci.documents.counted import counted as numbered
from ci.errors import UserError
from ci.notify.mail import mail_of, send
from ci.notify.message import message
from ci.notify.payload import fitted
from ci.notify.post import post
from ci.notify.template import read_template, writer
from ci.notify.tries import DEADLINE_S
from ci.record.cause import message_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from ci.notify.message import Message, NightNews, SuiteNews
    from ci.notify.nights import ToldNight
    from ci.notify.receiver import Receiver
    from ci.notify.tries import Clock
    from ci.suite.notifying import Notify

# Keys whose values are words of a service, which no secret may take away.
_WORDS = frozenset({"msg_type", "msgtype", "outcome", "source", "tag", "type"})
# A receiver's thread that takes longer than its own deadline hangs.
GRACE_S = 5.0


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
class Source:
    """What messages are made of.

    Attributes:
        name: of the suite; empty for a single run.
        remarks: further lines.
        nights: what is told of them.
        folder: where templates lie.
        suite: what is told of the suite's run; None for a single run.
        reached: the receivers who know the remarks.
    """

    name: str
    remarks: tuple[str, ...]
    nights: tuple[ToldNight, ...]
    folder: Path
    suite: SuiteNews | None = None
    reached: frozenset[str] = frozenset()


class Sending:
    """A message on its way to one receiver."""

    def __init__(
        self, receiver: Receiver, wanted: Notify, source: Source, hide: Callable[[str], str]
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
        label = self.receiver.label
        remarks_known = label in source.reached and not always
        if not told and (remarks_known or not source.remarks):
            self.outcome = "quiet"
            told_before = counted and all(label in night.reached for night in counted)
            self._notes.append(
                "was told of this run already; --always tells it once more"
                if told_before
                else f"nothing changed in {numbered(quiet, 'night')}"
            )
            told = [night.news for night in counted]
        built = message(
            told, name=source.name, same=quiet if source.name else 0, remarks=source.remarks
        )
        built = replace(built, suite=source.suite)
        base = self._wanted.link or ""
        whole = f"{base.rstrip('/')}/" if base and source.name else ""
        try:
            self.made = self._fitted(replace(built, link=whole or elsewhere))
        except Exception as error:  # noqa: BLE001 - a message is never the outcome of a night
            self._notes.append(f"cannot be written: {type(error).__name__}: {message_of(error)}")

    def _told(self, night: ToldNight, *, always: bool) -> NightNews | None:
        label = self.receiver.label
        if always:
            return night.news
        if label in night.reached:
            return None
        if night.news.change != "same":
            return night.news
        missed = label in night.missed
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


def send_all(sending: Sequence[Sending], clock: Clock) -> None:
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
