"""Look up what a target of `notify` names: its secrets in the environment, its template."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from ci.errors import UserError
from ci.notify.mail import Login
from ci.notify.post import require_url
from ci.record.known_secrets import secrets_of
from ci.suite.notifying import SERVICES, SIGNED, NotifyTarget

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ci.suite.notifying import Service

_LONG = 16


@dataclass(frozen=True)
class Receiver:
    """A target with its secrets, which no representation shows.

    Attributes:
        target: as the suite has it.
        label: what names it in notes: service and variable, or the server of e-mail.
        missing: what is not set; then nothing can be sent.
    """

    target: NotifyTarget
    label: str
    missing: str = ""
    url: str = field(default="", repr=False)
    sign_secret: str = field(default="", repr=False)
    login: Login | None = field(default=None, repr=False)


def webhook_variable(service: Service) -> str:
    """Return the variable with the URL of a service's webhook, where a target names none."""
    return f"LAMPLIGHTER_{service.upper()}_WEBHOOK"


def sign_variable(service: Service) -> str:
    """Return the variable with the secret for signatures, where a target names none."""
    return f"LAMPLIGHTER_{service.upper()}_SIGN_SECRET"


def targets_of_environment(env: Mapping[str, str]) -> list[NotifyTarget]:
    """Return a target for each service whose own variable is set."""
    return [
        NotifyTarget(service=service)
        for service in SERVICES
        if service != "email" and env.get(webhook_variable(service))
    ]


def receiver_of(target: NotifyTarget, env: Mapping[str, str]) -> Receiver:
    """Look up the secrets of a target.

    Args:
        target: as the suite has it.
        env: the environment.
    """
    if target.service == "email":
        return _mail_receiver(target, env)
    variable = target.url_env or webhook_variable(target.service)
    label = f"{target.service} (${variable})"
    url, missing = env.get(variable, "").strip(), ""
    if not url:
        missing = f"${variable} is not set; give it the URL of the webhook"
    else:
        try:
            require_url(url, variable)
        except UserError as error:
            missing = str(error)
    secret = ""
    if target.service in SIGNED:
        secret = env.get(target.sign_env or sign_variable(target.service), "").strip()
        if target.sign_env and not secret:
            missing = missing or f"${target.sign_env} is not set; give it the robot's sign secret"
    return Receiver(target, label, missing, url, secret)


def _mail_receiver(target: NotifyTarget, env: Mapping[str, str]) -> Receiver:
    label = f"email ({target.smtp_host} to {', '.join(target.recipients)})"
    if target.smtp_user is None or target.password_env is None:
        return Receiver(target, label)
    password = env.get(target.password_env, "")
    missing = "" if password else f"${target.password_env} is not set; give it the password"
    return Receiver(target, label, missing, login=Login(target.smtp_user, password))


def secrets_for(receivers: Iterable[Receiver], env: Mapping[str, str]) -> frozenset[str]:
    """Return what no payload and no note may have: the environment's secrets, URLs of webhooks.

    Args:
        receivers: with their secrets.
        env: the environment.
    """
    found: set[str] = set()
    for each in receivers:
        found |= {each.url, each.sign_secret, each.login.password if each.login else ""}
        found |= set(_parts(each.url))
    # Under names that look secret.
    named = {f"PART_{number}_SECRET": text for number, text in enumerate(filter(None, found))}
    return secrets_of(env) | secrets_of(named)


def _parts(url: str) -> Iterable[str]:
    """Yield the parts of a URL that give access: path, and what in it looks like a token."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return
    if parts.path.strip("/"):
        yield parts.path + (f"?{parts.query}" if parts.query else "")
    words = [*parts.path.split("/"), *(value for _, value in parse_qsl(parts.query))]
    words += [parts.password or "", parts.username or ""]
    yield from (word for word in words if re.search(r"\d", word) or len(word) >= _LONG)
