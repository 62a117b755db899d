"""Define `notify` of a suite: who is told about its nights, and through which service. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from ci.documents.strict import Strict
from ci.documents.values import Port, invalid, shaped
from ci.record.secret_names import looks_secret

if TYPE_CHECKING:
    from collections.abc import Iterator

Service = Literal["slack", "feishu", "wecom", "dingtalk", "json", "email"]
SERVICES: tuple[Service, ...] = ("slack", "feishu", "wecom", "dingtalk", "json", "email")
# Services whose robots can check a signature.
SIGNED: tuple[Service, ...] = ("feishu", "dingtalk")
MOST_TARGETS = 20
Security = Literal["starttls", "tls", "none"]
PORTS: dict[Security, int] = {"starttls": 587, "tls": 465, "none": 25}
LOCAL = ("localhost", "127.0.0.1", "::1")

_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,99}"
_ADDRESS = r"[^\s@<>,;:\"()\[\]\\]{1,64}@[\w.-]{1,190}"
# Service → the form of a person's name there, and where it is found. None of them can be `all`.
# Slack: member IDs and IDs of user groups, https://api.slack.com/reference/surfaces/formatting.
OWNER_IDS: dict[Service, tuple[str, str]] = {
    "slack": (r"[UWS][A-Z0-9]{5,20}", "the ID of a member or a user group, e.g. U012AB3CD"),
    "feishu": (r"(?!all$)[A-Za-z0-9_-]{1,80}", "an open_id or a user_id, e.g. ou_18eac8…"),
    "wecom": (r"(?!all$)[\w.-]{1,64}", "a userid, e.g. zhangsan"),
    "dingtalk": (r"(?!all$)[+]?[\w-]{1,64}", "a mobile number or a userId, e.g. 13800001111"),
    "json": (r"[^\x00-\x1f\x7f]{1,200}", "any text of one line"),
    "email": (_ADDRESS, "an address, e.g. dense@example.org"),
}


def _secret_name(value: str) -> str:
    """Accept only a name whose value is hidden in every record and report."""
    if not re.fullmatch(_NAME, value):
        raise invalid(
            "expected the name of an environment variable, e.g. SLACK_WEBHOOK; its value never "
            "stands in a file"
        )
    if not looks_secret(value):
        raise invalid(
            f"{value!r} does not look secret, so that its value would not be hidden elsewhere; "
            "name the variable e.g. SLACK_WEBHOOK, FEISHU_SIGN_SECRET or SMTP_PASSWORD"
        )
    return value


SecretEnv = Annotated[str, AfterValidator(_secret_name)]
Address = Annotated[str, shaped(_ADDRESS, "is not an e-mail address; write e.g. ci@example.org")]
Link = Annotated[
    str,
    shaped(r"https?://[^\s<>\"'|\\^`{}@?#]{1,500}", "is not an http or https address of a folder"),
]


class NotifyTarget(Strict):
    """A channel, a program or people that are told about nights."""

    service: Service = Field(
        description="`slack`, `feishu`, `wecom`, `dingtalk`, `json` for a program of your own, or "
        "`email`"
    )
    url_env: SecretEnv | None = Field(
        default=None,
        description="name of the environment variable with the URL of the webhook. Default: "
        "LAMPLIGHTER_SLACK_WEBHOOK, with the name of the service",
    )
    sign_env: SecretEnv | None = Field(
        default=None,
        description="Feishu and DingTalk: name of the variable with the secret for signatures. "
        "Default: LAMPLIGHTER_FEISHU_SIGN_SECRET, if it is set, with the name of the service",
    )
    mention: dict[str, str] = Field(
        default={},
        description="owner of a night → whom a message mentions if the night is not good: a "
        "member's ID of Slack, open_id of Feishu, userid of WeCom, mobile number of DingTalk, an "
        "address",
    )
    always: bool | None = Field(
        default=None, description="true: nights without news are told, too; default: of the suite"
    )
    template: str | None = Field(
        default=None,
        min_length=1,
        description="a Jinja2 file for the text, from the suite file on; see docs/notify.md",
    )
    smtp_host: str | None = Field(default=None, min_length=1, description="e-mail: the SMTP server")
    smtp_port: Port | None = Field(
        default=None, description="e-mail: its port; default: 587, 465 with `tls`, 25 with `none`"
    )
    security: Security | None = Field(
        default=None,
        description="e-mail: `starttls`, `tls` from the beginning, or `none`; default: `starttls`",
    )
    sender: Address | None = Field(default=None, description="e-mail: the address it is from")
    recipients: list[Address] = Field(default=[], description="e-mail: who gets it")
    smtp_user: str | None = Field(
        default=None, min_length=1, max_length=200, description="e-mail: the user of the login"
    )
    password_env: SecretEnv | None = Field(
        default=None,
        description="e-mail: name of the variable with the password; required with `smtp_user`",
    )


class Notify(Strict):
    """Who is told when the nights of a suite have ended; without news nobody is."""

    link: Link | None = Field(
        default=None,
        description="address under which the folder of runs is served, for links to reports. "
        "Default: that of the workflow's run on GitHub, GitLab or Jenkins, if there is one",
    )
    always: bool = Field(
        default=False,
        description="true: nights with the same outcome and the same first cause as before are "
        "told, too",
    )
    to: list[NotifyTarget] = Field(
        min_length=1, max_length=MOST_TARGETS, description="it lists who is told"
    )


_MAIL = ("smtp_host", "smtp_port", "security", "sender", "recipients", "smtp_user", "password_env")


def errors(notify: Notify) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Yield what does not fit together: key path from `notify` on, and message."""
    for at, target in enumerate(notify.to):
        for key, message in _target_errors(target):
            yield ("to", at, *key), message


def _target_errors(target: NotifyTarget) -> Iterator[tuple[tuple[str | int, ...], str]]:
    given = target.model_fields_set
    mail = target.service == "email"
    for key in sorted(given):
        if not mail and key in _MAIL:
            yield (key,), "is only for the service email; remove it"
        elif mail and key in {"url_env", "sign_env"}:
            yield (key,), "e-mail has no webhook; remove it, and name `smtp_host`"
        elif key == "sign_env" and target.service not in SIGNED:
            yield (key,), f"{target.service} has no signatures; remove it"
    form, example = OWNER_IDS[target.service]
    for owner, person in target.mention.items():
        if not re.fullmatch(form, person):
            yield ("mention", owner), f"{person!r} is nobody there; write {example}"
    if mail:
        yield from _mail_errors(target)


def _mail_errors(target: NotifyTarget) -> Iterator[tuple[tuple[str | int, ...], str]]:
    for key in ("smtp_host", "sender", "recipients"):
        if not getattr(target, key):
            yield (), f"e-mail needs `{key}`"
    if (target.smtp_user is None) != (target.password_env is None):
        yield (), "a login needs `smtp_user` and `password_env`, or neither"
    plain = target.security == "none" and target.smtp_host not in LOCAL
    if plain and target.smtp_user:
        yield ("security",), "the password would travel unencrypted; use starttls or tls"
