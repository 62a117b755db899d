"""Send requests to a pushgateway: put and delete groups, list those that are there.

Its interface: https://github.com/prometheus/pushgateway#api.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64encode
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import requests
from prometheus_client import delete_from_gateway, push_to_gateway
from requests.auth import AuthBase, HTTPBasicAuth

from ci.connect.printed import quoted
from ci.history.hosts import mapping
from ci.metrics.exposition import registry_of
from ci.metrics.families import JOBS
from ci.metrics.night import ENDED
from ci.metrics.old import Pushed, key_of
from ci.record.cause import message_of
from ci.record.known_secrets import hide_known, secrets_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from ci.metrics.families import Group
    from ci.metrics.settings import Gateway

CONNECT_S, SILENCE_S = 5.0, 10.0
# Of the list of all groups: 1,000 nights of 100 checks would take about this much.
MAX_LIST_BYTES = 256 << 20
MAX_ERROR_BYTES = 2000
_PIECE_BYTES = 64 << 10
_PUSHED_AT = "push_time_seconds"


class Refused(Exception):  # noqa: N818 - named after the event
    """The gateway answered with an error.

    Attributes:
        passing: whether another try may succeed.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"HTTP {status}{f': {text}' if text else ''}{_advice(status)}")
        self.passing = (
            status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.TOO_MANY_REQUESTS
        )


@dataclass(frozen=True)
class _Bearer(AuthBase):
    token: str = field(repr=False)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self.token}"
        return request


class Client:
    """The interface of a pushgateway, as far as Lamplighter needs it."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._session = requests.Session()
        # Neither the environment's proxies, which are for the internet, nor the passwords of
        # ~/.netrc.
        self._session.trust_env = False
        self._session.verify = gateway.ca_file or True
        credentials = gateway.credentials
        # A gateway may answer with what it was sent.
        self._secrets = secrets_of(
            {"PASSWORD": credentials.password, "TOKEN": credentials.token}
            | {"AUTHORIZATION": f"{credentials.user}:{credentials.password}"}
        )
        if credentials.token:
            self._session.auth = _Bearer(credentials.token)
        elif credentials.user or credentials.password:
            # As bytes: as text, other characters than those of Latin-1 would be an error.
            user, password = credentials.user.encode(), credentials.password.encode()
            self._session.auth = HTTPBasicAuth(user, password)

    def reason(self, error: Exception) -> str:
        """Return why a request failed, without secrets."""
        return hide_known(_reason(error), self._secrets)

    def put(self, group: Group) -> None:
        """Replace a group, with all its metrics."""
        registry = registry_of(group.families)
        key = _encoded(group.key)
        push_to_gateway(self.gateway.url, group.job, registry, key, handler=self._handler)

    def delete(self, group: Pushed) -> None:
        """Delete a group."""
        key = _encoded(dict(group.key))
        delete_from_gateway(self.gateway.url, group.job, key, handler=self._handler)

    def pushed(self) -> Iterator[Pushed]:
        """Yield the groups of Lamplighter's jobs; others are none of its business.

        Raises:
            ValueError: the answer is not a list of groups.
        """
        url = f"{self.gateway.url}/api/v1/metrics"
        body = self._request("GET", url, {}, None, MAX_LIST_BYTES)
        try:
            listed = mapping(json.loads(body))["data"]
            entries = [mapping(entry) for entry in listed]
        except (ValueError, RecursionError, KeyError, TypeError):
            raise ValueError(f"{url} did not answer with a list of groups") from None
        for entry in entries:
            labels = mapping(entry.get("labels"))
            at_s = _number_in(entry.get(_PUSHED_AT))
            if not at_s or not all(isinstance(text, str) for text in labels.values()):
                continue
            if labels.get("job") in JOBS:
                key = {name: text for name, text in labels.items() if name != "job"}
                ended = max(_number_in(entry.get(name)) for name in ENDED)
                yield Pushed(labels["job"], key_of(key), at_s, ended)

    def _handler(
        self,
        url: str,
        method: str,
        timeout: float | None,  # noqa: ARG002 - the client library's; there are two of ours
        headers: Sequence[tuple[str, str]],
        data: bytes,
    ) -> Callable[[], None]:
        """Send a request of prometheus_client."""

        def send() -> None:
            self._request(method, url, dict(headers), data, MAX_ERROR_BYTES)

        return send

    def _request(
        self, method: str, url: str, headers: dict[str, str], data: bytes | None, max_bytes: int
    ) -> bytes:
        """Send a request; redirects are errors, as they would take the credentials elsewhere."""
        with self._session.request(
            method,
            url,
            headers=headers,
            data=data,
            timeout=(CONNECT_S, SILENCE_S),
            allow_redirects=False,
            stream=True,
        ) as response:
            body = bytearray()
            good = response.status_code < HTTPStatus.MULTIPLE_CHOICES
            limit = max_bytes if good else MAX_ERROR_BYTES
            for piece in response.iter_content(_PIECE_BYTES):
                body += piece
                if len(body) > limit:
                    break
        if not good:
            raise Refused(response.status_code, quoted(bytes(body[:MAX_ERROR_BYTES])))
        if len(body) > max_bytes:
            raise ValueError(f"{url} answered with more than {max_bytes >> 20} MiB")
        return bytes(body)


def _encoded(key: Mapping[str, str]) -> dict[str, str]:
    """Encode the labels of a URL's path; as text, a space would become `+`, and `..` a way out.

    See https://github.com/prometheus/pushgateway#url.
    """
    return {
        f"{name}@base64": urlsafe_b64encode(text.encode()).decode() for name, text in key.items()
    }


def _number_in(metric: Any) -> float:  # noqa: ANN401 - JSON
    """Return the value of a gauge in the gateway's list; 0 if it has none."""
    samples = mapping(metric).get("metrics")
    first = mapping(samples[0]) if isinstance(samples, list) and samples else {}
    try:
        return float(str(first.get("value")))
    except ValueError:
        return 0.0


def _reason(error: Exception) -> str:
    """Say what failed in a few words: messages of the network have whole objects in them."""
    if isinstance(error, requests.exceptions.SSLError):
        return f"its certificate cannot be verified: {_innermost(error)}"
    if isinstance(error, requests.ConnectTimeout):
        return f"no connection within {CONNECT_S:g} s"
    if isinstance(error, requests.Timeout):
        return f"no answer within {SILENCE_S:g} s"
    if isinstance(error, requests.ConnectionError):
        return f"no connection: {_innermost(error)}"
    return message_of(error)


def _innermost(error: BaseException) -> str:
    """Return the message of the error of the operating system that caused another one."""
    found, seen = error, set[int]()
    while id(found) not in seen:
        seen.add(id(found))
        reason = getattr(found, "reason", None)
        inner = next(
            (
                each
                for each in (reason, *found.args, found.__cause__, found.__context__)
                if isinstance(each, BaseException)
            ),
            None,
        )
        if inner is None:
            break
        found = inner
    if isinstance(found, OSError) and found.strerror:
        return message_of(OSError(found.strerror))
    return message_of(found)


def _advice(status: int) -> str:
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return "; check PROM_PUSHGATEWAY_USER and _PASSWORD, or _TOKEN"
    if status in range(HTTPStatus.MULTIPLE_CHOICES, HTTPStatus.BAD_REQUEST):
        return "; it redirects: name the place that it redirects to"
    return "; check the path of its URL" if status == HTTPStatus.NOT_FOUND else ""
