"""Test e-mails against a real SMTP server: aiosmtpd, with STARTTLS, TLS, logins and refusals."""

import email
import email.policy
import ssl
from contextlib import ExitStack

import pytest
from aiosmtpd.smtp import AuthResult, LoginPassword
from certificates import authority, certificate
from receivers import smtp_server
from sample_run import check, sample
from stored_runs import run_of, stored

from ci.notify.deliver import notify
from ci.notify.nights import Ended
from ci.notify.tries import Clock
from ci.suite.notifying import Notify, NotifyTarget

USER, PASSWORD = "nightly", "hunter2-5f2a91c0de"


class Mailbox:
    """What an SMTP server does with e-mails: it keeps them, or answers as it is told."""

    def __init__(self):
        self.mails, self.answers, self.refused = [], [], set()

    async def handle_RCPT(self, _server, _session, envelope, address, _options):  # noqa: N802
        if address in self.refused:
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, _session, envelope):  # noqa: N802
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer is None:
            server.transport.abort()
        elif answer.startswith("250"):
            mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
            self.mails.append((envelope.rcpt_tos, mail))
        return answer or "250 OK"


def let_in(server, session, envelope, mechanism, data):
    known = LoginPassword(USER.encode(), PASSWORD.encode())
    return AuthResult(success=data == known, handled=False)


@pytest.fixture
def trusted(tmp_path, monkeypatch):
    """Return the context of a server whose authority this machine trusts."""
    monkeypatch.setenv("SSL_CERT_FILE", authority(tmp_path))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate(tmp_path, signed=True))
    return context


@pytest.fixture
def served():
    """Return what starts a mailbox on a port of its own."""
    with ExitStack() as started:
        yield lambda box, **settings: started.enter_context(smtp_server(box, **settings))


@pytest.fixture
def night(tmp_path):
    return stored(tmp_path / "runs", run_of(0, outcome="fail"))


def tell(night, port, *, env=None, waits=None, **changes):
    values = {
        "service": "email",
        "smtp_host": "127.0.0.1",
        "smtp_port": port,
        "security": "none",
        "sender": "ci@example.org",
        "recipients": ["team@example.org", "boss@example.org"],
        "mention": {"dense": "dense@example.org"},
    }
    target = NotifyTarget(**(values | changes))
    waits = [] if waits is None else waits
    (delivery,) = notify(
        [Ended(night, "dense")],
        Notify(to=[target]),
        env=env or {},
        clock=Clock(wait=waits.append),
    )
    assert PASSWORD not in f"{delivery}"
    return delivery


def test_a_mail_has_verdict_cause_and_owner(served, night):
    box = Mailbox()
    assert tell(night, served(box)).outcome == "sent"
    [(receivers, mail)] = box.mails
    assert receivers == ["team@example.org", "boss@example.org", "dense@example.org"]
    assert mail["Subject"] == "local: first night, FAIL: 1 of 1 check missed the bound"
    assert mail["From"].addresses[0].addr_spec == "ci@example.org"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail.get_content_type() == "text/plain"
    assert "acc accuracy is 75.00 %" in mail.get_content()


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_login_over_tls(served, night, trusted, security):
    box = Mailbox()
    login = {"authenticator": let_in, "auth_required": True}
    if security == "tls":
        port = served(box, tls=trusted, **login)
    else:
        port = served(box, tls_context=trusted, require_starttls=True, **login)
    given = {"security": security, "smtp_user": USER, "password_env": "SMTP_PASSWORD"}
    assert tell(night, port, env={"SMTP_PASSWORD": PASSWORD}, **given).outcome == "sent"
    assert len(box.mails) == 1
    given["always"] = True
    refused = tell(night, port, env={"SMTP_PASSWORD": f"not {PASSWORD}"}, **given)
    assert refused.outcome == "failed"
    assert "the login was refused: 535" in refused.note
    unset = tell(night, port, **given)
    assert unset.note == "$SMTP_PASSWORD is not set; give it the password"
    assert len(box.mails) == 1


def test_a_server_that_is_not_trusted(served, night, tmp_path):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate(tmp_path))
    delivery = tell(night, served(Mailbox(), tls_context=context), security="starttls")
    assert delivery.outcome == "failed"
    assert "TLS failed: CERTIFICATE_VERIFY_FAILED" in delivery.note


def test_without_starttls_nothing_is_sent(served, night):
    box = Mailbox()
    delivery = tell(night, served(box), security="starttls")
    assert (delivery.outcome, box.mails) == ("failed", [])
    assert "STARTTLS" in delivery.note


@pytest.mark.parametrize(
    ("answers", "waited", "outcome"),
    [
        (["451 4.3.0 try later", "451 4.3.0 try later"], [1.0, 2.0], "sent"),
        (["421 4.7.0 too many"] * 4, [1.0, 2.0, 4.0], "failed"),
        (["552 5.3.4 too large"], [], "failed"),
        ([None], [1.0], "sent"),
    ],
    ids=["later", "never", "refused", "closed"],
)
def test_a_server_that_does_not_take_it_at_once(served, night, answers, waited, outcome):
    box, waits = Mailbox(), []
    box.answers = list(answers)
    assert tell(night, served(box), waits=waits).outcome == outcome
    assert waits == waited
    assert len(box.mails) == (outcome == "sent")


def test_receivers_that_are_refused(served, night):
    box = Mailbox()
    box.refused = {"boss@example.org"}
    port = served(box)
    delivery = tell(night, port)
    assert (delivery.outcome, delivery.note) == ("sent", "delivered, but not to boss@example.org")
    box.refused = {"team@example.org", "boss@example.org", "dense@example.org"}
    delivery = tell(night, port, always=True)
    assert delivery.outcome == "failed"
    assert "no receiver was accepted: 550" in delivery.note


def test_hostile_texts_add_no_header_and_no_receiver(served, tmp_path):
    text = "x\r\nBcc: evil@example.org\r\n\r\n.\r\nMAIL FROM:<a@b>\x00\x1b[31m\u202e \ud800"
    case = text.encode("utf-8", "ignore").decode()
    run = sample(check("fail", case, case), case=case, cause=None)
    night = stored(tmp_path / "runs", run, folder="r")
    box = Mailbox()
    assert tell(night, served(box)).outcome == "sent"
    [(receivers, mail)] = box.mails
    assert "evil@example.org" not in receivers
    assert mail["Bcc"] is None
    assert "\n" not in mail["Subject"]
    assert "\x1b" not in mail.get_content()
