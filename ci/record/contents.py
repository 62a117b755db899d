"""Hold the fields of a record during its run: always valid, without secrets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ci.record.known_secrets import secrets_of, secrets_within
from ci.record.redact import plain, redacted
from ci.record.stored import as_run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ci.record.model import Run


class Contents:
    """The fields of run.json, except those that are computed whenever it is written."""

    def __init__(self, fields: Mapping[str, Any], env: Mapping[str, str]) -> None:
        """Begin a record.

        Args:
            fields: all fields; no others can be set.
            env: the environment of this process; its secrets are hidden.
        """
        self._fields = dict(fields)
        self._secrets = secrets_of(env)
        # The same without secrets: to search all of them at each change would take longer than the
        # rest of the record.
        self._shown = self.hidden(self._fields)

    def changed(self, changes: Mapping[str, object], counted: Mapping[str, object]) -> Run:
        """Set fields; mappings are merged.

        Args:
            changes: field → value.
            counted: see `run`.

        Raises:
            KeyError: the record has no such field.
            ValueError: a value is invalid; nothing is changed.
        """
        fields = {}
        for name, value in changes.items():
            before, after = self._fields[name], plain(value)
            fields[name] = before | after if isinstance(before, dict) else after
        shown = self._shown | self.hidden(fields)
        try:
            run = as_run(shown | self.hidden(counted))
        except ValueError as error:
            raise ValueError(f"the record cannot hold this: {error}") from None
        self._fields |= fields
        self._shown = shown
        return run

    def extended(self, name: str, value: object, counted: Mapping[str, object]) -> Run:
        """Append to a field that is a list; raises as `changed` does."""
        return self.changed({name: [*self._fields[name], value]}, counted)

    def run(self, counted: Mapping[str, object]) -> Run:
        """Return the present record.

        Args:
            counted: the fields that change with time: seconds and steps.
        """
        return as_run(self._shown | self.hidden(counted))

    def learn_secrets(self, tree: object) -> None:
        """Collect the secrets of this tree, to hide them from now on."""
        self._secrets |= secrets_within(tree)
        self._shown = self.hidden(self._fields)

    def hidden(self, tree: object) -> Any:  # noqa: ANN401 - JSON
        """Return a tree without secrets."""
        return redacted(tree, self._secrets)
