"""List all rules; add a new rule here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ci.check import (
    band_rules,
    benchmark_rules,
    case_rules,
    config_rules,
    dataset_rules,
    device_rules,
    flag_rules,
    kv_rules,
    repeat_rules,
    server_rules,
    text_rules,
)
from ci.check.diagnostic import Rule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Remark, Subject

RULES = (
    Rule("program", "error", server_rules.program),
    Rule("spaced-flag", "error", server_rules.spaced_flag),
    Rule("typographic", "error", text_rules.typographic),
    Rule("shell-default", "error", text_rules.shell_default),
    Rule("not-expanded", "error", text_rules.not_expanded),
    Rule("json-argument", "error", server_rules.json_argument),
    Rule("split-flag", "error", flag_rules.split_flag),
    Rule("unknown-flag", "error", flag_rules.unknown_flag),
    Rule("flag-value", "error", flag_rules.flag_value),
    Rule("duplicate-flag", "warning", server_rules.duplicate_flag, derived=True),
    Rule("several-keys", "warning", server_rules.several_keys),
    Rule("headless-port", "warning", server_rules.headless_port),
    Rule("kv-role", "error", kv_rules.kv_role),
    Rule("kv-keys", "error", kv_rules.kv_keys),
    Rule("kv-by-tokens", "warning", kv_rules.kv_by_tokens),
    Rule("config-keys", "warning", config_rules.config_keys),
    Rule("overridden-variable", "warning", case_rules.overridden_variable),
    Rule("other-model", "warning", case_rules.other_model),
    Rule("model-without-vllm", "warning", case_rules.model_without_vllm),
    Rule("too-few-devices", "error", device_rules.too_few_devices),
    Rule("kv-sizes", "error", kv_rules.kv_sizes, derived=True),
    Rule("no-such-device", "error", device_rules.no_such_device),
    Rule("shared-device", "error", device_rules.shared_device),
    Rule("dataset-conf", "error", benchmark_rules.dataset_conf),
    Rule("dataset-conf-folder", "error", benchmark_rules.dataset_conf_folder),
    Rule("broken-dataset-conf", "error", dataset_rules.broken_conf),
    Rule("lm-eval-task", "error", dataset_rules.lm_eval_task),
    Rule("evalscope-dataset", "error", dataset_rules.evalscope_dataset),
    Rule("request-conf", "error", benchmark_rules.request_conf),
    Rule("does-not-stream", "error", benchmark_rules.does_not_stream),
    Rule("adds-to-prompts", "warning", benchmark_rules.adds_to_prompts),
    Rule("scores-nothing", "error", benchmark_rules.scores_nothing),
    Rule("too-long", "error", dataset_rules.too_long),
    Rule("other-dataset", "warning", dataset_rules.other_dataset),
    Rule("percent", "warning", benchmark_rules.percent),
    Rule("cannot-fail", "warning", benchmark_rules.cannot_fail),
    Rule("threshold-above-one", "warning", benchmark_rules.threshold_above_one),
    Rule("narrow-band", "warning", band_rules.narrow_band),
    Rule("wide-band", "warning", band_rules.wide_band),
    Rule("too-many-prompts", "warning", benchmark_rules.too_many_prompts),
    Rule("bench-prompts", "error", benchmark_rules.bench_prompts),
    Rule("unsent-dataset", "warning", benchmark_rules.unsent_dataset),
    Rule("too-few-prompts", "warning", benchmark_rules.too_few_prompts),
    Rule("equal-passes", "warning", repeat_rules.equal_passes),
    Rule("undecided-repeats", "warning", repeat_rules.undecided_repeats),
)


def remarks(subject: Subject) -> Iterator[tuple[Rule, Remark]]:
    """Apply all rules to a case and yield each remark with its rule."""
    for rule in RULES:
        for remark in rule.examine(subject):
            yield rule, remark
