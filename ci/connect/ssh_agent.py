"""Use the keys of an SSH agent, with a time limit for every answer."""

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
    """An SSH agent; it is asked for its keys at their first use.

    Attributes:
        unusable: the keys that are not shown, each with the reason.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._agent = AgentSSH()
        self.unusable: list[str] = []

    @functools.cached_property
    def keys(self) -> dict[bytes, HeldKey]:
        """Return blob → key, for keys and certificates that sign without a person."""
        if not self._path:
            return {}
        line = socket.socket(socket.AF_UNIX)
        line.settimeout(ANSWER_S)
        try:
            line.connect(self._path)
            # paramiko's public class reads only SSH_AUTH_SOCK.
            self._agent._connect(line)  # type: ignore[attr-defined]  # noqa: SLF001
        except REFUSED as error:
            line.close()
            self.unusable.append(f"the agent at {self._path}: {error or 'no answer'}")
            return {}
        keys = [HeldKey(key, self.unusable) for key in self._agent.get_keys()]
        self.unusable += [
            f"agent's {key.label}: a FIDO key, which needs a touch"
            for key in keys
            if key.name.startswith("sk-")
        ]
        return {key.blob: key for key in keys if not key.name.startswith("sk-")}

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
    """A key of an agent; if the agent refuses to sign, the other keys are still tried."""

    def __init__(self, key: AgentKey, unusable: list[str]) -> None:
        super().__init__(key.agent, key.blob, key.comment)
        self.inner_key = None  # paramiko would show it in place of a certificate
        self.public_blob = None  # paramiko 4 reads it
        self._unusable = unusable

    @property
    def label(self) -> str:
        """Return the agent's name of the key, for messages."""
        return self.comment or str(self.name)

    def __copy__(self) -> HeldKey:
        return HeldKey(self, self._unusable)

    def sign_ssh_data(  # type: ignore[override]  # the stub's result is not paramiko's
        self, data: bytes, algorithm: str | None = None
    ) -> bytes:
        """Sign; if the agent does not, return a signature that no host accepts."""
        try:
            return cast("bytes", super().sign_ssh_data(data, algorithm))
        except REFUSED as error:
            self._unusable.append(f"agent's {self.label}: does not sign ({error})")
            nothing = Message()
            nothing.add_string(algorithm or self.name)
            nothing.add_string(b"")
            return nothing.asbytes()
