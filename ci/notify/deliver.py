"""Tell about nights: collect what is news, write it for each receiver, send it, note the outcome.

`notify` is what a suite calls at its end. It raises nothing that is wrong with a receiver, and
takes no longer than `tries.DEADLINE_S`: who is told is never the outcome of a night.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.notify.links import workflow_link
from ci.notify.nights import collect, receivers_in, remember
from ci.notify.receiver import receiver_of, secrets_for
from ci.notify.sending import Sending, Source, send_all
from ci.notify.tries import Clock
from ci.record.known_secrets import hide_known

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from ci.notify.message import SuiteNews
    from ci.notify.nights import Ended
    from ci.notify.sending import Delivery
    from ci.suite.notifying import Notify


def notify(  # noqa: PLR0913 - each is one thing that a caller may know
    nights: Sequence[Ended],
    wanted: Notify,
    *,
    name: str = "",
    suite_file: str = "",
    remarks: tuple[str, ...] = (),
    same_evening: Collection[str] = (),
    suite: SuiteNews | None = None,
    folder: Path | None = None,
    repeated: bool = False,
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
        suite: what is told of the suite's run; None for a run alone.
        folder: of the suite's run, where it is noted who was told.
        repeated: who was told of the suite's run already needs not hear the remarks once more.
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

    collected, problems = collect(nights, wanted, same_evening, hide)
    source = Source(
        name,
        (*map(hide, remarks), *problems),
        tuple(collected),
        Path(suite_file).parent,
        suite,
        receivers_in(folder, "sent") if folder and repeated else frozenset(),
    )
    sending = [Sending(receiver, wanted, source, hide) for receiver in receivers]
    for each in sending:
        each.prepare(workflow_link(env))
    if not dry_run:
        send_all(sending, clock or Clock())
        told = [night.folder for night in collected if not night.muted]
        folders = [*told, folder] if folder else told
        remember(folders, {each.receiver.label: each.outcome for each in sending})
    return tuple(each.delivery(dry_run=dry_run) for each in sending)
