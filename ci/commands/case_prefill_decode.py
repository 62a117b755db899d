"""`inv case.prefill-decode`: write a case with prefill and decode apart."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from ci.case.prefill_decode import settings
from ci.case.prefill_decode.axes import labels_of
from ci.case.prefill_decode.connector import buffer_of, connector_of
from ci.case.prefill_decode.model import Pair, Wanted, most_devices, ports_of
from ci.case.prefill_decode.settings import Setting, setting
from ci.case.prefill_decode.text import text_of
from ci.catalog import environments
from ci.catalog.vllm_flags import by_version
from ci.check.lint import examine
from ci.commands.case_import import write_new
from ci.commands.case_new import devices_of_hosts, kind_of
from ci.documents.address import MAX_PORT
from ci.documents.counted import counted
from ci.errors import CaseError, UserError
from ci.inventory.cluster_file import find, load
from ci.inventory.this_machine import device_of
from ci.paths import CONFIGS
from ci.vllm.devices import MAX_RANKS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ci.commands.case_flags import PrefillDecode
    from ci.inventory.target import Target

_PROXY = CONFIGS / "proxies" / "prefill_decode_proxy.py"
_COPIED_PROXY = "/data/prefill_decode_proxy.py"
_PROMPTS, _PROMPTS_CPU = 200, 16


def prefill_decode(given: PrefillDecode, env: Mapping[str, str] = os.environ) -> str:
    """Write a case with prefill and decode apart, for this machine or the hosts of a cluster file.

    Args:
        given: the flags; a flag that is missing takes its value from a variable.
        env: the operator's environment.

    Raises:
        UserError: a value is wrong, there are too few hosts or devices, or the file exists.
    """
    if given.local and given.cluster:
        raise UserError("--local and --cluster: give only one of them")
    targets = load(find(given.cluster)) if given.cluster else ()
    wanted = _wanted(given, targets, env)
    _require_ports(wanted)
    [*names] = labels_of(wanted.models).values()
    path = Path(given.to or f"{names[0] if len(names) == 1 else 'models'}-prefill-decode.yaml")
    text = text_of(wanted)
    found = [item.problem for item in examine(text.encode(), str(path)) if item.severity == "error"]
    if found:
        raise CaseError(tuple(found))
    write_new(path, text)
    return _summary(wanted, path, given.cluster, env)


def _wanted(given: PrefillDecode, targets: Sequence[Target], env: Mapping[str, str]) -> Wanted:
    def chosen(name: str) -> Setting:
        return setting(name, getattr(given, name), env)

    models = settings.models(chosen("model"))
    instances = _both(chosen, "{}_instances", lambda item: settings.number(item, MAX_RANKS))
    ports = Pair(
        settings.port(chosen("prefill_base_port"), 1 if targets else instances.prefill),
        settings.port(chosen("decode_base_port"), 1 if targets else instances.decode),
    )
    tp = settings.pairs(chosen("prefill_tp"), chosen("decode_tp"), MAX_RANKS)
    blocks = settings.pairs(
        chosen("prefill_block_size"), chosen("decode_block_size"), settings.MAX_BLOCK
    )
    device = given.device or kind_of(targets) or device_of("")
    version = _version(given.vllm, device)
    connector = connector_of(given.connector, device, tp, blocks, many_hosts=bool(targets))
    flashinfer = settings.flashinfer(given=given.flashinfer, env=env)
    if flashinfer and device != "cuda":
        raise UserError(
            f"--flashinfer (or ${settings.FLASHINFER}) is for --device cuda, not {device}"
        )
    made = environments.load_models(CONFIGS / "models.yaml")
    default_prompts = _PROMPTS_CPU if device == "cpu" else _PROMPTS
    return Wanted(
        models=models,
        instances=instances,
        tp=tp,
        blocks=blocks,
        device=device,
        devices=_devices(given.devices, targets, device, instances, tp),
        local=not targets,
        vllm=version,
        connector=connector,
        kv_buffer_device=buffer_of(chosen("kv_buffer_device"), connector, device),
        utilization=""
        if device == "cpu"
        else settings.utilization(chosen("gpu_memory_utilization")),
        flashinfer=flashinfer,
        backend_by_flag=_has_backend_flag(version),
        router=settings.choice(Setting(given.router, "--router"), ("vllm-router", "script")),
        script=_COPIED_PROXY if targets else str(_PROXY),
        base_ports=ports,
        router_port=settings.port(chosen("router_port"), 1),
        max_model_len=_positive(given.max_model_len, "--max-model-len"),
        num_prompts=_positive(given.num_prompts or default_prompts, "--num-prompts"),
        made_here=all(model in made for model in models),
        offline=all(model in made or model.startswith("/") for model in models),
    )


def _both(chosen: Callable[[str], Setting], name: str, read: Callable[[Setting], int]) -> Pair:
    return Pair(read(chosen(name.format("prefill"))), read(chosen(name.format("decode"))))


def _positive(value: int, flag: str) -> int:
    if value < 1:
        raise UserError(f"{flag} {value}: expected a whole number from 1 on")
    return value


def _version(given: str, device: str) -> str:
    """Return the version to install: the given one, else the newest for the device."""
    versions = environments.load_versions(CONFIGS / "versions.yaml")
    if given:
        environments.require_version(versions, given)
    fitting = [version for version, kinds in versions.items() if device in kinds]
    if given and given not in fitting:
        there = ", ".join(fitting) or "none"
        raise UserError(f"--vllm {given}: not for {device}; for {device} there are: {there}")
    return given or next(iter(fitting), "")


def _has_backend_flag(version: str) -> bool:
    """Return whether a vLLM has `--attention-backend`; it came in place of a variable."""
    newest = next(iter(by_version().values()))
    return "--attention-backend" in by_version().get(version, newest)


def _devices(
    given: int, targets: Sequence[Target], device: str, instances: Pair, tp: Sequence[Pair]
) -> int:
    """Return the devices of each host: as given, else what the instances on one machine need.

    Raises:
        UserError: there are fewer hosts than instances, or fewer devices than they need.
    """
    count = instances.prefill + instances.decode
    if targets and len(targets) < count:
        raise UserError(
            f"--cluster: it has {counted(len(targets), 'host')}, but {instances.prefill} prefill + "
            f"{instances.decode} decode instances need {count}; add hosts, or start fewer "
            "instances"
        )
    if given < 0:
        raise UserError(f"--devices {given}: expected a whole number from 1 on")
    if device == "cpu":
        return 0
    if targets:
        return _enough_of_each(devices_of_hosts(given, targets, device), tp)
    total, text = most_devices(instances, tp)
    if given and total > given:
        raise UserError(
            f"--devices {given}: the instances need {text} devices; lower the tensor-parallel "
            "sizes, start fewer instances, or spread them over hosts with --cluster"
        )
    return given or total


def _enough_of_each(devices: int, tp: Sequence[Pair]) -> int:
    largest = max(size for pair in tp for size in (pair.prefill, pair.decode))
    if largest > devices:
        raise UserError(
            f"an instance with tensor-parallel size {largest} needs {largest} devices, but each "
            f"host has {devices}; lower --prefill-tp and --decode-tp"
        )
    return devices


def _require_ports(wanted: Wanted) -> None:
    """Refuse two users of one port."""
    taken: dict[int, str] = {}
    for user, port in ports_of(wanted):
        other = taken.setdefault(port, user)
        if other != user or port > MAX_PORT:
            why = (
                f"{other} and {user} would both use port {port}"
                if other != user
                else (f"{user} would use port {port}, above {MAX_PORT}")
            )
            raise UserError(
                f"{why}; change --router-port, --prefill-base-port or --decode-base-port, or "
                "start fewer instances"
            )


def _summary(wanted: Wanted, path: Path, cluster: str, env: Mapping[str, str]) -> str:
    """Describe the written file: its cases, their devices, what to do next."""
    cases = len(wanted.models) * len(wanted.tp) * len(wanted.blocks)
    lines = [f"wrote {path}: {cases} case{'s' * (cases > 1)}"]
    if wanted.local and wanted.devices:
        total = most_devices(wanted.instances, wanted.tp)[1]
        lines.append(f"devices of this machine at most: {total}")
    if image := env.get(settings.IMAGE):
        lines.append(
            f"${settings.IMAGE} ({image}) is not used: no image is; --vllm chooses the version, "
            f"here {wanted.vllm or 'that of the hosts'}"
        )
    where = f"--cluster {cluster}" if cluster else "--local"
    one = "#NAME" if cases > 1 else ""
    lines.append(f"look at it, then run `inv plan --config {path}{one} {where}`")
    return "".join(f"{line}\n" for line in lines)
