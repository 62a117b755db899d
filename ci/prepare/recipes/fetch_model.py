"""Fetch a model from its hub into the hub client's own cache; resumes an interrupted download.

Runs on a host with any Python from 3.8: `python3 fetch_model.py SPEC.json`. The client is that of
the vLLM which serves the model. Hosts that share the cache fetch once: the others wait.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys

# In the same folder as this file, here and on a host.
from one_maker import sole_maker  # type: ignore[import-not-found]

# Weights of other frameworks, which vLLM never loads.
EXCLUDED = ("original/*", "*.onnx", "*.onnx_data", "*.h5", "*.msgpack", "*.tflite", "*.ot")
TOKENIZER = ("*.json", "*.txt", "*.model", "*.jinja", "*.py", "*.tiktoken")
MODULES = {"huggingface": "huggingface_hub", "modelscope": "modelscope"}
# huggingface_hub (`is_tqdm_disabled` of utils/tqdm.py) shows no progress in a file without it.
SHOWN = {"TQDM_POSITION": "-1"}
# Both clients have this function; its first argument has different names.
CLIENT = """\
import json, sys
spec = json.loads(sys.argv[1])
module = __import__(spec["module"])
patterns = {key: spec[key] for key in ("allow_patterns", "ignore_patterns") if spec[key]}
try:
    print(module.snapshot_download(
        spec["name"], revision=spec["revision"] or None, cache_dir=spec["download_dir"] or None,
        **patterns), flush=True)
except Exception as error:
    sys.exit("%s: %s" % (type(error).__name__, " ".join(str(error).split())[:400]))
"""


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)


def python_of(folder: str) -> str:
    """Return the Python of the vLLM in a folder, else of that on PATH, else python3."""
    path = os.pathsep.join(filter(None, [folder, os.environ.get("PATH", os.defpath)]))
    vllm = shutil.which("vllm", path=path)
    if vllm:
        with open(vllm, "rb") as file:
            first = file.readline(500).decode("utf-8", "replace").strip()
        if first.startswith("#!") and "python" in first:
            words = first[2:].split()
            return words[1] if words[0].endswith("/env") and len(words) > 1 else words[0]
    beside = shutil.which("python3", path=path)
    return beside or sys.executable


def main() -> int:
    """Fetch what the JSON file says; return the exit code."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    python, module = python_of(spec["bin"]), MODULES[spec["hub"]]
    if subprocess.call([python, "-c", "import " + module], stderr=subprocess.DEVNULL) != 0:
        say(
            "not made: %s has no %s, which fetches models. Install it there, name the script that "
            "sets PATH under `env_script`, or copy the model with `inv weights.sync`."
            % (python, module)
        )
        return 1
    asked = {
        "module": module,
        **{key: spec[key] for key in ("name", "revision", "download_dir")},
        "allow_patterns": TOKENIZER if spec["only_tokenizer"] else (),
        "ignore_patterns": () if spec["only_tokenizer"] else EXCLUDED,
    }
    os.makedirs(os.path.dirname(spec["cache"]), exist_ok=True)
    with sole_maker(spec["cache"], say):
        return subprocess.call(
            [python, "-c", CLIENT, json.dumps(asked)], env=dict(os.environ, **SHOWN)
        )


if __name__ == "__main__":
    sys.exit(main())
