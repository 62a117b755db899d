"""Rules for the JSON of --speculative-config and --compilation-config: misspelt keys. Pure."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from ci.check.diagnostic import Remark
from ci.documents.nearest import nearest
from ci.vllm.command_line import json_option

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ci.check.diagnostic import Subject

# Of vLLM 0.30 to 0.32, those that people write; vLLM refuses keys that it does not have.
_KEYS = {
    "--speculative-config": (
        *("num_speculative_tokens", "model", "method", "draft_tensor_parallel_size"),
        *("quantization", "max_model_len", "revision", "enforce_eager", "attention_backend"),
        *("prompt_lookup_max", "prompt_lookup_min", "parallel_drafting", "moe_backend"),
        *("rejection_sample_method", "disable_padded_drafter_batch", "kv_cache_dtype"),
        *("synthetic_acceptance_length", "synthetic_acceptance_rates", "tensor_parallel_size"),
        *("num_speculative_tokens_per_batch_size", "code_revision", "draft_sample_method"),
    ),
    "--compilation-config": (
        *("mode", "level", "backend", "custom_ops", "splitting_ops", "cudagraph_mode"),
        *("cudagraph_capture_sizes", "max_cudagraph_capture_size", "compile_sizes"),
        *("compile_ranges_endpoints", "cudagraph_num_of_warmups", "cudagraph_copy_inputs"),
        *("pass_config", "inductor_compile_config", "use_inductor_graph_partition", "cache_dir"),
        *("cudagraph_specialize_lora", "cudagraph_mm_encoder", "compile_mm_encoder"),
    ),
    "--ec-transfer-config": (
        *("ec_connector", "ec_role", "ec_rank", "ec_parallel_size", "ec_ip", "ec_port"),
        *("ec_connector_extra_config", "ec_connector_module_path", "engine_id"),
        *("ec_buffer_device", "ec_buffer_size"),
    ),
}
_MODES = ("NONE", "PIECEWISE", "FULL", "FULL_DECODE_ONLY", "FULL_AND_PIECEWISE")
_SLIP = 0.85  # below the likeness of a key that another version has


def config_keys(subject: Subject) -> Iterator[Remark]:
    """Report keys that are almost known ones, and a cudagraph_mode that vLLM does not have."""
    for server in {server.command_key: server for server in subject.servers}.values():
        for flag, known in _KEYS.items():
            config = json_option(server.argv, flag)
            for key in config:
                close = difflib.get_close_matches(key, known, 1, _SLIP) if key not in known else []
                if close:
                    message = f"{flag} has no key {key!r}; did you mean {close[0]!r}?"
                    yield Remark(server.command_key, message, key)
            mode = config.get("cudagraph_mode")
            if isinstance(mode, str) and mode.upper() not in _MODES:
                near = nearest(mode, _MODES)
                guess = f"did you mean {near!r}?" if near else f"choose one of {', '.join(_MODES)}"
                message = f"cudagraph_mode is {mode!r}; {guess}"
                yield Remark(server.command_key, message, mode, severity="error")
