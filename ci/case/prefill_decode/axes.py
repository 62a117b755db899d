"""Write the axes of a new case's `sweep`, and the references to them. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ci.case.prefill_decode.model import Pair, Role


@dataclass(frozen=True)
class Axis:
    """One setting of prefill and decode: its values, and how the servers refer to them."""

    name: str
    pairs: Sequence[Pair]

    @property
    def alike(self) -> bool:
        """Return whether both roles have the same value in every pair."""
        return all(pair.prefill == pair.decode for pair in self.pairs)

    def of(self, role: Role) -> str:
        """Return a role's value, or the reference to it."""
        if len(self.pairs) == 1:
            return str(self.pairs[0].of(role))
        return f"${{sweep.{self.name}}}" if self.alike else f"${{sweep.{self.name}.{role}}}"

    def lines(self) -> list[str]:
        """Write the axis; nothing for a single value."""
        if len(self.pairs) == 1:
            return []
        values = [
            str(pair.prefill)
            if self.alike
            else f"{{prefill: {pair.prefill}, decode: {pair.decode}}}"
            for pair in self.pairs
        ]
        return [f"  {self.name}: [{', '.join(values)}]"]

    def title(self) -> str:
        """Describe the values for the case's title."""
        prefill, decode = self.of("prefill"), self.of("decode")
        return prefill if prefill == decode else f"{prefill} and {decode}"


def labels_of(models: Sequence[str]) -> dict[str, str]:
    """Return model → a short name of it, which a case's name may contain."""
    short = {model: _plain(PurePosixPath(model).name) for model in models}
    if len(set(short.values())) < len(models):
        short = {model: _plain(model) for model in models}
    return short


def _plain(text: str) -> str:
    return re.sub(r"[^\w.+-]+", "-", text, flags=re.ASCII).strip("-.")[-60:] or "model"
