"""List vLLM's removed flags, with their replacements. Pure."""

from __future__ import annotations

REMOVED = {
    "--cuda-graph-sizes": "use --cudagraph-capture-sizes",
    "--disable-async-output-proc": "leave it out",
    "--disable-log-requests": "leave it out: requests are not logged unless --enable-log-requests",
    "--guided-decoding-backend": "use --structured-outputs-config",
    "--max-seq-len-to-capture": "use --max-cudagraph-capture-size",
    "--num-scheduler-steps": "leave it out",
    "--num-speculative-tokens": "use --speculative-config",
    "--rope-scaling": "use --hf-overrides",
    "--speculative-model": "use --speculative-config",
    "--swap-space": "leave it out",
    "--task": "use --runner and --convert",
    "--use-v2-block-manager": "leave it out",
}

# Removed flag → the first version without it, from the argument parsers of the wheels from 0.10.1
# on.
REMOVED_SINCE = {
    "--cuda-graph-sizes": "0.13.0",
    "--disable-async-output-proc": "0.11.0",
    "--disable-log-requests": "0.17.0",
    "--guided-decoding-backend": "0.12.0",
    "--max-seq-len-to-capture": "0.11.0",
    "--num-scheduler-steps": "0.10.1",
    "--num-speculative-tokens": "0.10.1",
    "--rope-scaling": "0.11.1",
    "--speculative-model": "0.10.1",
    "--swap-space": "0.18.0",
    "--task": "0.13.0",
    "--use-v2-block-manager": "0.10.1",
}
