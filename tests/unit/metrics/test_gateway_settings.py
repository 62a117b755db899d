from __future__ import annotations

import pytest
from metric_runs import SECRET

from ci.errors import UserError
from ci.metrics.settings import Credentials, gateway_of, keep_days
from ci.record.known_secrets import secrets_of

URL = "PROM_PUSHGATEWAY_URL"
USER, PASSWORD, TOKEN = (f"PROM_PUSHGATEWAY_{name}" for name in ("USER", "PASSWORD", "TOKEN"))


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("http://pushgw:9091", "http://pushgw:9091"),
        ("pushgw:9091", "http://pushgw:9091"),
        ("https://gw/push/", "https://gw/push"),
        ("http://gw:9091/metrics", "http://gw:9091"),
        (" http://[::1]:9091/ ", "http://[::1]:9091"),
        ("http://nights:word@gw:9091", "http://gw:9091"),
    ],
)
def test_the_url_of_a_gateway(written: str, url: str):
    assert gateway_of({URL: written}).url == url


def test_no_gateway():
    assert gateway_of({}) is None
    assert gateway_of({URL: " "}) is None


@pytest.mark.parametrize(
    ("env", "credentials"),
    [
        ({}, Credentials()),
        ({USER: "me", PASSWORD: "w"}, Credentials("me", "w")),
        ({TOKEN: "t"}, Credentials("", "", "t")),
        ({URL: "http://me:p%40w@gw"}, Credentials("me", "p@w")),
        ({URL: "http://me:old@gw", PASSWORD: "new"}, Credentials("me", "new")),
    ],
)
def test_credentials(env: dict[str, str], credentials: Credentials):
    assert gateway_of({URL: "http://gw"} | env).credentials == credentials


@pytest.mark.parametrize(
    ("env", "given", "words"),
    [
        ({URL: f"ftp://me:{SECRET}@gw"}, "", f"{URL} is not the URL"),
        ({URL: f"http://me:{SECRET}@"}, "", f"{URL} is not the URL"),
        ({URL: "http://gw:port"}, "", f"{URL} is not the URL"),
        ({URL: "http://[gw"}, "", f"{URL} is not the URL"),
        ({URL: f"http://gw?key={SECRET}"}, "", "a query"),
        ({}, f"http://me:{SECRET}@gw", "--gateway-url has a password"),
        ({}, "x y://", "--gateway-url is not the URL"),
        ({URL: "http://gw", TOKEN: SECRET, PASSWORD: "x"}, "", "unset one"),
        ({URL: "http://gw", TOKEN: f"{SECRET}\n"}, "", "a line break"),
        ({URL: "http://gw", "PROM_PUSHGATEWAY_KEEP_DAYS": "0"}, "", "a number of days"),
    ],
)
def test_what_is_wrong_never_shows_a_secret(env: dict[str, str], given: str, words: str):
    with pytest.raises(UserError, match=words) as raised:
        gateway_of(env, given)
    assert SECRET not in str(raised.value)


def test_no_credential_is_in_a_repr():
    env = {URL: "http://gw", USER: "me", PASSWORD: SECRET}
    assert SECRET not in repr(gateway_of(env))
    assert SECRET not in repr(gateway_of({URL: "http://gw", TOKEN: SECRET}))


def test_they_are_known_secrets_of_the_environment():
    assert SECRET in secrets_of({PASSWORD: SECRET})
    assert SECRET in secrets_of({TOKEN: SECRET})
    assert SECRET in secrets_of({URL: f"http://me:{SECRET}@gw:9091"})


@pytest.mark.parametrize("days", ["0", "-1", "x", "1.5", "²", "99999"])
def test_days_that_are_none(days: str):
    with pytest.raises(UserError, match="1 to 3660"):
        keep_days({"PROM_PUSHGATEWAY_KEEP_DAYS": days})
