"""List the tasks of lm-eval that can be asked over the chat endpoint: configs/lm_eval.json.

`python -m ci.catalog.lm_eval_tasks ENVIRONMENT` writes that file again from an environment with
lm-eval in it, such as `~/.cache/lamplighter/envs/lm_eval`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ci.documents.nearest import nearest
from ci.errors import UserError
from ci.paths import CONFIGS

FILE = CONFIGS / "lm_eval.json"
# Runs in lm-eval's environment.
_INSPECT = """
import collections, importlib.metadata, json, sys
from lm_eval.tasks import TaskManager
from lm_eval.tasks._yaml_loader import load_yaml
index = TaskManager().task_index
def kind(name): return index[name].kind.name if name in index else ""
configs = {}
for name in sorted(index):
    if kind(name) == "TASK" and index[name].yaml_path:
        each = load_yaml(index[name].yaml_path, resolve_func=False)
        repo, more = each.get("dataset_path"), each.get("dataset_kwargs") or {}
        usable = each.get("output_type") == "generate_until" and repo and "data_files" not in more
        if usable and not each.get("custom_dataset") and repo not in ("json", "csv", "parquet"):
            configs[name] = each
def key(name):
    each = configs[name]
    splits = [each.get(k + "_split") for k in ("test", "validation", "training", "fewshot")]
    test = splits[0] or splits[1] or splits[2]
    shots = splits[3] or splits[2] or splits[1] or test
    number = str(each.get("num_fewshot") or 0)
    return " ".join((each.get("dataset_name") or "-", test, shots, number))
def leaves(name, above=()):
    if name in above or kind(name) not in ("TASK", "TAG", "GROUP"): return [None]
    if kind(name) == "TASK": return [name if name in configs else None]
    if kind(name) == "TAG": inside = sorted(index[name].tags)
    else: inside = load_yaml(index[name].yaml_path, resolve_func=False).get("task")
    inside = [inside] if isinstance(inside, str) else inside or [None]
    return [leaf for each in inside
            for leaf in (leaves(each, (*above, name)) if isinstance(each, str) else [None])]
tasks = collections.defaultdict(lambda: collections.defaultdict(list))
for name in configs: tasks[configs[name]["dataset_path"]][key(name)].append(name)
groups = collections.defaultdict(lambda: collections.defaultdict(list))
for name in sorted(index):
    inside = leaves(name) if kind(name) in ("TAG", "GROUP") else [None]
    repos = {configs[leaf]["dataset_path"] for leaf in inside if leaf}
    if None not in inside and len(repos) == 1 and name not in configs:
        keys = {key(leaf) for leaf in set(inside)}
        first = sorted(keys)[0].split(" ")
        first[0] = first[0] if len(keys) == 1 else "*"
        groups[repos.pop()][" ".join(first)].append(f"{name}={len(set(inside))}")
text = lambda found: {repo: {k: " ".join(v) for k, v in sorted(keys.items())}
                      for repo, keys in sorted(found.items())}
json.dump({"version": importlib.metadata.version("lm_eval"), "tasks": text(tasks),
           "groups": text(groups)}, open(sys.argv[1], "w"), indent=0)
"""


@dataclass(frozen=True)
class Task:
    """A task of lm-eval, or a group of tasks with data from one place.

    Attributes:
        repo: name of the dataset on the hub.
        config: configuration of that dataset; empty for the only one, `*` for several.
        test: the split with the questions.
        examples: the split with the examples of few-shot prompts.
        shots: number of examples unless the case gives one.
        sets: number of tasks in it.
    """

    name: str
    repo: str
    config: str
    test: str
    examples: str
    shots: int
    sets: int = 1

    def splits(self, shots: int | None) -> tuple[str, ...]:
        """Return the splits that are needed, as `split NAME of CONFIG`."""
        wanted = self.shots if shots is None else shots
        names = dict.fromkeys((self.test, *([self.examples] if wanted else [])))
        of = f" of {self.config}" if self.config not in ("", "*") else ""
        return tuple(f"split {name}{of}" for name in names)


@cache
def _known() -> dict[str, Task]:
    listed = json.loads(FILE.read_text("utf-8"))
    found = {}
    for kind in ("groups", "tasks"):  # a task has priority over a group of the same name
        for repo, keys in listed[kind].items():
            for key, names in keys.items():
                config, test, examples, shots = key.rsplit(" ", 3)
                config = "" if config in {"-", "default"} else config
                for each in names.split():
                    name, _, sets = each.partition("=")
                    task = Task(name, repo, config, test, examples, int(shots), int(sets or 1))
                    found[name] = task
    return found


def task_of(name: str) -> Task:
    """Return a task of lm-eval.

    Raises:
        UserError: lm-eval has none of that name, or it cannot be asked over the chat endpoint.
    """
    tasks = _known()
    if name not in tasks:
        near = nearest(name, tuple(tasks))
        version = json.loads(FILE.read_text("utf-8"))["version"]
        raise UserError(
            f"dataset_conf: lm-eval {version} has no task {name!r} that generates answers from one "
            "dataset; tasks that need log-probabilities cannot be asked over the chat endpoint"
            + (f"; did you mean {near!r}?" if near else "")
        )
    return tasks[name]


def main(environment: Path) -> None:
    """Write the list again."""
    argv = [str(environment / "bin" / "python"), "-c", _INSPECT, str(FILE)]
    subprocess.run(argv, check=True)
    with FILE.open("a", encoding="utf-8") as file:
        file.write("\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]).expanduser())
