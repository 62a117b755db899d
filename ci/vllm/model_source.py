"""Where a server takes its model and its tokenizer from: a folder, or a name on a hub. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ci.vllm.command_line import model_of, option

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# What the clients of both hubs, and vLLM, read to find a model.
VARIABLES = (
    *("HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "XDG_CACHE_HOME", "HOME"),
    *("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "VLLM_USE_MODELSCOPE", "MODELSCOPE_CACHE"),
)
# These formats come from another model, or from none.
NO_WEIGHTS = frozenset({"dummy"})


@dataclass(frozen=True)
class ModelSource:
    """A model or a tokenizer as a server's command line names it.

    Attributes:
        name: a folder, or a name on a hub.
        revision: a branch, tag or commit; empty for the hub's default.
        env: those of VARIABLES that the process has.
        download_dir: the cache of `--download-dir`; empty for the hub client's.
        cwd: the process's working folder; empty if it is its own.
        weights: whether weights have to be there.
    """

    name: str
    revision: str = ""
    env: tuple[tuple[str, str], ...] = ()
    download_dir: str = ""
    cwd: str = ""
    weights: bool = True

    @property
    def key(self) -> str:
        """Return the name, with the revision if there is one."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def is_folder(self) -> bool:
        """Return whether it cannot be a name on a hub."""
        return self.name.startswith(("/", "./", "../", "~")) or self.name.count("/") > 1

    def request(self, *, contents: bool = True) -> dict[str, Any]:
        """Return what a host is asked; without `contents`, only where the folder is."""
        return {
            "name": self.name,
            "revision": self.revision,
            "env": dict(self.env),
            "download_dir": self.download_dir,
            "cwd": self.cwd,
            "contents": contents,
        }


def model_source(argv: Sequence[str], env: Mapping[str, str], cwd: str = "") -> ModelSource | None:
    """Return the model of a server; None if its command line names none.

    Args:
        argv: the server's command line.
        env: its environment.
        cwd: its working folder; empty if it is its own.
    """
    name = model_of(argv)
    if not name:
        return None
    return ModelSource(
        name=name,
        revision=option(argv, "--revision") or "",
        env=_variables(env),
        download_dir=option(argv, "--download-dir") or "",
        cwd=cwd,
        weights=option(argv, "--load-format") not in NO_WEIGHTS,
    )


def tokenizer_source(
    argv: Sequence[str], env: Mapping[str, str], cwd: str = ""
) -> ModelSource | None:
    """Return the tokenizer of a server: `--tokenizer`, else its model; arguments as there."""
    model = model_source(argv, env, cwd)
    named = option(argv, "--tokenizer")
    revision = option(argv, "--tokenizer-revision") or ""
    if named:
        return ModelSource(named, revision, _variables(env), cwd=cwd, weights=False)
    return model


def _variables(env: Mapping[str, str]) -> tuple[tuple[str, str], ...]:
    return tuple((name, env[name]) for name in VARIABLES if name in env)
