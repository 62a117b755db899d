"""The keys of one SSH agent, with a limit on every answer."""

from __future__ import annotations

import functools
import socket
from typing import TYPE_CHECKING, cast

from paramiko.agent import AgentKey, AgentSSH
from paramiko.message import Message
from paramiko.ssh_exception import SSHException

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

ANSWER_S = 10.0
REFUSED = (OSError, EOFError, SSHException, ValueError)


class Agent:
    """An agent, asked for its keys when they are first wanted.

    Attributes:
        unusable: the keys that are not shown, and why.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._agent = AgentSSH()
        self.unusable: list[str] = []

    @functools.cached_property
    def keys(self) -> dict[bytes, HeldKey]:
        """The keys and certificates that sign without a person, by what is shown of them."""
        if not self._path:
            return {}
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(ANSWER_S)
        try:
            line.connect(self._path)
            # The public way knows only SSH_AUTH_SOCK.
            self._agent._connect(line)  # type: ignore[attr-defined]  # noqa: SLF001
        except REFUSED as error:
            line.close()
            self.unusable.append(f"the agent at {self._path}: {error or 'no answer'}")
            return {}
        held = [HeldKey(key, self.unusable) for key in self._agent.get_keys()]
        self.unusable += [
            f"agent's {key.label}: a FIDO key, which wants a touch"
            for key in held
            if key.name.startswith("sk-")
        ]
        return {key.blob: key for key in held if not key.name.startswith("sk-")}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._agent._close()  # type: ignore[attr-defined]  # noqa: SLF001


class HeldKey(AgentKey):
    """A key of an agent that may refuse to sign, which is to cost no more than this key."""

    def __init__(self, key: AgentKey, unusable: list[str]) -> None:
        super().__init__(key.agent, key.blob, key.comment)
        self.inner_key = None  # it would be shown in place of a certificate
        self.public_blob = None  # which paramiko 4 looks for
        self._unusable = unusable

    @property
    def label(self) -> str:
        """For people: as the agent calls it."""
        return self.comment or str(self.name)

    def __copy__(self) -> HeldKey:
        return HeldKey(self, self._unusable)

    def sign_ssh_data(  # type: ignore[override]  # the stub's result is not paramiko's
        self, data: bytes, algorithm: str | None = None
    ) -> bytes:
        """Sign; without the agent's signature, one that no host takes."""
        try:
            return cast("bytes", super().sign_ssh_data(data, algorithm))
        except REFUSED as error:
            self._unusable.append(f"agent's {self.label}: does not sign ({error})")
            nothing = Message()
            nothing.add_string(algorithm or self.name)
            nothing.add_string(b"")
            return nothing.asbytes()
