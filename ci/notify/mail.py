"""Send a message as e-mail: SMTP with STARTTLS (RFC 3207), TLS from the beginning, or neither."""

from __future__ import annotations

import smtplib
import socket
import ssl
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

from ci.connect.printed import one_line
from ci.notify.answer import MOST_CHARS, Answer
from ci.notify.message import short
from ci.notify.tries import Clock, tried
from ci.suite.notifying import PORTS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from ci.suite.notifying import NotifyTarget

TIMEOUT_S = 20.0
_TEMPORARY = range(400, 500)


@dataclass(frozen=True)
class Login:
    """A user of the SMTP server, and the password."""

    user: str
    password: str


def mail_of(
    target: NotifyTarget, made: Mapping[str, Any], now: datetime, domain: str = "lamplighter"
) -> EmailMessage:
    """Build the e-mail of a payload: plain text, so that nothing in it is a link or an image.

    Args:
        target: who sends and who receives it.
        made: the payload: subject, text, and further receivers.
        now: its date.
        domain: of its id.
    """
    mail = EmailMessage()
    mail["Subject"] = made["subject"]
    mail["From"] = Address("Lamplighter", addr_spec=target.sender)
    mail["To"] = ", ".join(dict.fromkeys([*target.recipients, *made["also_to"]]))
    mail["Date"] = format_datetime(now)
    mail["Message-ID"] = make_msgid(domain=domain)
    # RFC 3834, 5: no vacation notice answers it.
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(made["text"])
    return mail


def send(
    target: NotifyTarget, mail: EmailMessage, login: Login | None, clock: Clock | None = None
) -> str:
    """Send an e-mail; return why it was not delivered, or an empty text.

    Args:
        target: the server.
        mail: the e-mail.
        login: None for none.
        clock: for the tries.
    """
    refused: dict[str, str] = {}

    def attempt(left_s: float) -> Answer:
        refused.clear()
        try:
            refused.update(_send(target, mail, login, min(TIMEOUT_S, left_s)))
        except OSError as error:  # SMTPException is one
            return _failure(error)
        return Answer(delivered=True)

    reason = tried(attempt, clock or Clock())
    if refused and not reason:
        return f"delivered, but not to {', '.join(refused)}"
    return reason


def _send(
    target: NotifyTarget, mail: EmailMessage, login: Login | None, timeout_s: float
) -> dict[str, str]:
    """Send an e-mail; return the receivers that were refused."""
    security = target.security or "starttls"
    host, port = target.smtp_host or "", target.smtp_port or PORTS[security]
    context = ssl.create_default_context()
    # The full name of this machine may take the resolver a minute.
    own = socket.gethostname() or "lamplighter"
    with (
        smtplib.SMTP_SSL(host, port, own, timeout=timeout_s, context=context)
        if security == "tls"
        else smtplib.SMTP(host, port, own, timeout=timeout_s)
    ) as server:
        if security == "starttls":
            server.starttls(context=context)
        if login:
            server.login(login.user, login.password)
        receivers: Sequence[str] = [each.addr_spec for each in mail["To"].addresses]
        refused = server.send_message(mail, to_addrs=receivers)
        return {name: str(code) for name, (code, _) in refused.items()}


def _failure(error: OSError) -> Answer:  # noqa: PLR0911 - one for each way in which it fails
    """Say why an e-mail was not sent, and whether another try may succeed."""
    match error:
        case smtplib.SMTPAuthenticationError():
            return _answer("the login was refused", error.smtp_code, error.smtp_error)
        case smtplib.SMTPResponseException():
            return _answer("", error.smtp_code, error.smtp_error)
        case smtplib.SMTPRecipientsRefused():
            code, text = next(iter(error.recipients.values()))
            return _answer("no receiver was accepted", code, text)
        case smtplib.SMTPServerDisconnected():
            return Answer(delivered=False, again=True, reason="the server closed the connection")
        case ssl.SSLError():
            reason = f"TLS failed: {one_line(error.reason or type(error).__name__)}"
            return Answer(delivered=False, reason=f"{reason}; see `security` and SSL_CERT_FILE")
        case TimeoutError():
            return Answer(delivered=False, reason="no answer in time; it may have arrived")
        case smtplib.SMTPException():
            return Answer(delivered=False, reason=short(one_line(str(error)), MOST_CHARS))
    reason = one_line(error.strerror or type(error).__name__)
    step = "check `smtp_host` and `smtp_port`, and that this machine reaches them"
    return Answer(delivered=False, again=True, reason=f"no connection: {reason}; {step}")


def _answer(what: str, code: int, text: bytes | str) -> Answer:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    told = f"{code} {short(one_line(words), MOST_CHARS)}"
    return Answer(
        delivered=False,
        again=code in _TEMPORARY or code == -1,
        reason=": ".join(filter(None, (what, told))),
    )
