"""List vLLM's removed flags, with their replacements. Pure."""

from __future__ import annotations

REMOVED = {
    "--cuda-graph-sizes": "use --cudagraph-capture-sizes",
    "--disable-async-output-proc": "leave it out",
    "--disable-log-requests": "leave it out: requests are not logged unless --enable-log-requests",
    "--guided-decoding-backend": "use --structured-outputs-config",
    "--max-seq-len-to-capture": "use --max-cudagraph-capture-size",
    "--num-scheduler-steps": "leave it out",
    "--rope-scaling": "use --hf-overrides",
    "--swap-space": "leave it out",
    "--task": "use --runner and --convert",
    "--use-v2-block-manager": "leave it out",
}
