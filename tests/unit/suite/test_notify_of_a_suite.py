"""Test `notify` of a suite file: what it may say, and errors that repeat no secret."""

import pytest
from suites import suite_of

from ci.errors import CaseError
from ci.suite.notifying import OWNER_IDS, SERVICES

HEAD = "nights: [{cases: local}]\nnotify:\n"
MAIL = (
    "service: email, smtp_host: mail.example.org, "
    "sender: ci@example.org, recipients: [a@example.org]"
)


def errors_of(text):
    with pytest.raises(CaseError) as raised:
        suite_of(HEAD + text, "s.yaml")
    return [str(problem) for problem in raised.value.problems]


def test_a_suite_says_who_is_told():
    suite = suite_of(
        HEAD
        + f"""\
  link: https://reports.example.org/runs
  to:
    - {{service: slack, url_env: SLACK_WEBHOOK, mention: {{dense: U012AB3CD}}, always: true}}
    - {{service: feishu, sign_env: FEISHU_SIGN_SECRET, mention: {{dense: ou_18eac8}}}}
    - {{{MAIL}, smtp_user: nightly, password_env: SMTP_PASSWORD, security: tls, smtp_port: 465}}
"""
    )
    notify = suite.document.notify
    assert [target.service for target in notify.to] == ["slack", "feishu", "email"]
    assert (notify.always, notify.to[0].always, notify.to[1].always) == (False, True, None)


def test_without_it_nobody_is_told():
    assert suite_of("nights: [{cases: local}]\n").document.notify is None


@pytest.mark.parametrize(
    ("target", "error"),
    [
        ("service: teams", "to[0].service: "),
        ("{service: slack, url: x}", "to[0].url: unknown key"),
        ("{service: slack, url_env: A_URL}", "'A_URL' does not look secret"),
        ("{service: slack, sign_env: A_SECRET}", "slack has no signatures"),
        ("{service: slack, smtp_host: mail}", "is only for the service email"),
        ("{service: slack, mention: {a: all}}", "'all' is nobody there; write the ID of a member"),
        ('{service: slack, mention: {a: "!channel"}}', "'!channel' is nobody there"),
        ("{service: feishu, mention: {a: all}}", "'all' is nobody there; write an open_id"),
        ('{service: wecom, mention: {a: "@all"}}', "'@all' is nobody there; write a userid"),
        ("{service: dingtalk, mention: {a: all}}", "'all' is nobody there; write a mobile number"),
        ("{service: email}", "e-mail needs `smtp_host`"),
        (f"{{{MAIL}, url_env: A_WEBHOOK}}", "e-mail has no webhook"),
        (f"{{{MAIL}, smtp_user: a}}", "a login needs `smtp_user` and `password_env`"),
        (f"{{{MAIL}, smtp_user: a, password_env: A_PASSWORD, security: none}}", "unencrypted"),
        (f'{{{MAIL}, mention: {{a: "a@b, c@d"}}}}', "is nobody there; write an address"),
        ('{service: email, sender: "a\\nBcc: b@c.d"}', "is not an e-mail address"),
    ],
)
def test_what_does_not_fit(target, error):
    assert any(error in each for each in errors_of(f"  to: [{target}]\n"))


LINKS = (
    *("reports.example.org", "javascript:alert(1)", "https://user:password@example.org"),
    *("https://a|b", "https://a> <!channel", "https://a/?token=x", "file:///etc"),
)


@pytest.mark.parametrize("link", LINKS)
def test_a_link_is_an_address_without_secrets(link):
    (error,) = errors_of(f"  link: '{link}'\n  to: [{{service: slack}}]\n")
    assert "is not an http or https address of a folder" in error


def test_a_url_in_place_of_a_name_is_not_repeated():
    (error,) = errors_of("  to: [{service: slack, url_env: 'https://hooks.example.org/T0KEN1234'}]")
    assert "T0KEN1234" not in error
    assert error.startswith("s.yaml:3:34: notify.to[0].url_env: expected the name")


def test_every_service_knows_its_people():
    assert set(OWNER_IDS) == set(SERVICES)
