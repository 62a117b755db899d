"""Read the settings of a new case from flags, and from the variables of vllm-router's tests. Pure.

The variables, their defaults and the assignment of devices are those of vllm-router's tests of
prefill and decode apart:
https://github.com/vllm-project/router/tree/main/py_test/e2e/pd_disagg_vllm
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ci.case.prefill_decode.model import Pair
from ci.documents.address import MAX_PORT
from ci.documents.nearest import nearest
from ci.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Flag → the variable with its default, and the default without it.
DEFAULTS = {
    "model": ("MODEL_NAMES", "meta-llama/Llama-3.2-1B-Instruct"),
    "prefill_instances": ("NUM_PREFILL_INSTANCES", "1"),
    "decode_instances": ("NUM_DECODE_INSTANCES", "1"),
    "prefill_tp": ("PREFILLER_TP_SIZE", "1"),
    "decode_tp": ("DECODER_TP_SIZE", "1"),
    "gpu_memory_utilization": ("GPU_MEMORY_UTILIZATION", "0.6"),
    "prefill_block_size": ("PREFILL_BLOCK_SIZE", "128"),
    "decode_block_size": ("DECODE_BLOCK_SIZE", "128"),
    "kv_buffer_device": ("KV_BUFFER_DEVICE", "cuda"),
    "prefill_base_port": ("PREFILL_BASE_PORT", "8100"),
    "decode_base_port": ("DECODE_BASE_PORT", "8200"),
    "router_port": ("ROUTER_PORT", "8300"),
}
FLASHINFER = "TEST_FLASHINFER"
IMAGE = "VLLM_DOCKER_IMAGE"
MAX_BLOCK = 4096
_UTILIZATION = re.compile(r"0?\.[0-9]{1,4}|1(?:\.0{1,4})?")


@dataclass(frozen=True)
class Setting:
    """The text of a setting, and where it comes from: `--prefill-tp` or `$PREFILLER_TP_SIZE`."""

    text: str
    source: str

    @property
    def is_flag(self) -> bool:
        """Return whether the operator gave the flag."""
        return self.source.startswith("--")

    def refused(self, expected: str) -> UserError:
        """Return the error for a wrong value."""
        return UserError(f"{self.source} {self.text[:60]}: expected {expected}")


def setting(name: str, given: str, env: Mapping[str, str]) -> Setting:
    """Return a setting: the flag, else the variable, else the default.

    Args:
        name: a key of DEFAULTS.
        given: the flag's value; empty if it is not given.
        env: the operator's environment; an empty variable counts as missing.
    """
    variable, default = DEFAULTS[name]
    if given:
        return Setting(given, f"--{name.replace('_', '-')}")
    if env.get(variable):
        return Setting(env[variable], f"${variable}")
    return Setting(default, f"the default of --{name.replace('_', '-')}")


def number(chosen: Setting, largest: int) -> int:
    """Return a whole number from 1 on.

    Raises:
        UserError: it is none, or too large.
    """
    if not _is_number(chosen.text, largest):
        raise chosen.refused(f"a whole number, 1 to {largest}")
    return int(chosen.text)


def pairs(prefill: Setting, decode: Setting, largest: int) -> tuple[Pair, ...]:
    """Return the pairs of two lists: the first with the first; one value goes with all.

    Raises:
        UserError: a value is wrong, the lists differ in length, or a pair occurs twice.
    """
    first, second = _numbers(prefill, largest), _numbers(decode, largest)
    if len(first) != len(second) and 1 not in {len(first), len(second)}:
        raise UserError(
            f"{prefill.source} has {len(first)} values and {decode.source} {len(second)}: the "
            "values make pairs; give as many of each, or one"
        )
    count = max(len(first), len(second))
    found = [
        Pair(*sizes)
        for sizes in zip(
            first * (count if len(first) == 1 else 1),
            second * (count if len(second) == 1 else 1),
            strict=True,
        )
    ]
    for pair in found:
        if found.count(pair) > 1:
            raise UserError(
                f"{prefill.source} and {decode.source}: the pair {pair.prefill} and {pair.decode} "
                "occurs twice; remove one"
            )
    return tuple(found)


def _numbers(chosen: Setting, largest: int) -> list[int]:
    words = [word.strip() for word in chosen.text.split(",")]
    if not all(_is_number(word, largest) for word in words):
        raise chosen.refused(f"whole numbers separated by commas, each 1 to {largest}")
    return [int(word) for word in words]


def _is_number(text: str, largest: int) -> bool:
    return bool(re.fullmatch(r"[0-9]{1,9}", text)) and 1 <= int(text) <= largest


def port(chosen: Setting, count: int) -> int:
    """Return the first of several ports.

    Raises:
        UserError: one of them is not a port.
    """
    first = number(chosen, MAX_PORT)
    if first + count - 1 > MAX_PORT:
        raise chosen.refused(f"room for {count} ports up to {MAX_PORT}")
    return first


def models(chosen: Setting) -> tuple[str, ...]:
    """Return the models, separated by commas.

    Raises:
        UserError: one is missing or occurs twice.
    """
    found = tuple(word.strip() for word in chosen.text.split(","))
    if not all(found) or len(set(found)) < len(found):
        raise chosen.refused("names of models, separated by commas, each once")
    return found


def utilization(chosen: Setting) -> str:
    """Return the share of a device's memory.

    Raises:
        UserError: it is not above 0 and at most 1.
    """
    text = chosen.text.strip()
    if not _UTILIZATION.fullmatch(text) or not float(text):
        raise chosen.refused("a share of the memory above 0 and at most 1, such as 0.6")
    return text


def choice(chosen: Setting, known: Sequence[str]) -> str:
    """Return one of some words.

    Raises:
        UserError: it is none of them.
    """
    if chosen.text not in known:
        near = nearest(chosen.text, known)
        guess = f"; did you mean {near}?" if near else ""
        raise chosen.refused(f"{' or '.join(known)}{guess}")
    return chosen.text


def flashinfer(*, given: bool, env: Mapping[str, str]) -> bool:
    """Return whether to use FlashInfer; a variable that is empty or 0 does not ask for it."""
    return given or env.get(FLASHINFER, "") not in {"", "0"}
