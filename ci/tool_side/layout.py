"""Find the files of AISBench's configurations in a dataset's folder, however it is laid out.

AISBench's own process imports this module too: standard library only.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

ROOT = "ais_bench/datasets/"
PARTS = "LongBench"
EACH_MODULE = "lamplighter_each"  # each_item.py, as a run names it
PROGRAM = """\
import json
from pathlib import Path

import datasets


class Parts(datasets.GeneratorBasedBuilder):
    BUILDER_CONFIGS = [
        datasets.BuilderConfig(name=path.stem)
        for path in sorted(Path({folder!r}, "data").glob("*.jsonl"))
    ]

    def _info(self):
        return datasets.DatasetInfo()

    def _split_generators(self, _):
        path = Path({folder!r}, "data", self.config.name + ".jsonl")
        return [datasets.SplitGenerator(name="test", gen_kwargs={{"path": str(path)}})]

    def _generate_examples(self, path):
        with open(path, encoding="utf-8") as file:
            for number, line in enumerate(file):
                yield number, json.loads(line)
"""
# Keys of a row that name files: images, videos or sounds.
MEDIA = ("image", "image_path", "image_url", "video", "audio", "path")


def find(folder: Path, pattern: str) -> Path | None:
    """Find what a configuration opens; None if it is not there.

    Args:
        folder: the dataset's folder, or its only file.
        pattern: path below AISBench's own folder of datasets, with patterns. A copy may lack
            leading folders: `ceval/formal_ceval/val/*.csv` is also found as `val/*.csv`.
    """
    parts = pattern.strip("/").split("/")
    suffix = Path(parts[-1]).suffix
    if folder.is_file():
        return folder if folder.suffix == suffix else None
    for start in range(len(parts)):
        found = _matching(folder, parts[start:])
        if found:
            return found
    if not suffix:
        return folder if _inside(folder) else None
    # A file with another name: the only one with this suffix.
    alike = [other for other in _inside(folder) if other.suffix == suffix]
    return alike[0] if len(alike) == 1 and "*" not in parts[-1] else None


def _matching(folder: Path, parts: list[str]) -> Path | None:
    if not parts:
        return folder
    for inside in _inside(folder):
        if fnmatchcase(inside.name, parts[0]):
            found = _matching(inside, parts[1:])
            if found:
                return found
    return None


def _inside(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def entries(
    found: list[dict[str, Any]], path: str, abbr: str, opens: tuple[str, ...], count: int
) -> list[dict[str, Any]]:
    """Point the dataset entries of an AISBench configuration to a folder.

    Args:
        found: the entries.
        path: the dataset's folder.
        abbr: name of the dataset in AISBench's files; of several sets it is the prefix.
        opens: the patterns for `find`.
        count: number of prompts that AISBench makes up itself; 0 keeps its own number.
    """
    if not found:
        raise ValueError("the dataset_conf has no datasets in it; choose another")
    pointed = []
    for entry in found:
        changed = {key: _pointed(value, Path(path), opens) for key, value in entry.items()}
        changed["abbr"] = abbr if len(found) == 1 else f"{abbr}--{entry['abbr']}"
        if count and isinstance(changed.get("config"), dict):
            changed["config"] = dict(changed["config"], RequestCount=count)
        pointed.append(_with_items(changed))
    return pointed


def _with_items(entry: dict[str, Any]) -> dict[str, Any]:
    """Replace an evaluator that gives only the mean by that of each_item.py."""
    evaluator = entry.get("eval_cfg", {}).get("evaluator", {})
    kind = getattr(evaluator.get("type"), "__name__", "")
    if not kind.startswith("LongBench"):
        return entry
    changed = dict(evaluator, type=f"{EACH_MODULE}.{kind}")
    return dict(entry, eval_cfg=dict(entry["eval_cfg"], evaluator=changed))


def _pointed(value: Any, folder: Path, opens: tuple[str, ...]) -> Any:  # noqa: ANN401 - any kind
    if not isinstance(value, str) or not value.startswith(ROOT):
        return value
    path = value[len(ROOT) :].strip("/")
    inside = [pattern for pattern in opens if pattern == path or pattern.startswith(path + "/")]
    pattern = inside[0] if inside else path
    found = find(folder, pattern)
    if found is None:
        raise FileNotFoundError(f"the dataset in {folder} has no {pattern}")
    below = pattern.count("/") - path.count("/")
    name = pattern.rpartition("/")[2]
    if below and not fnmatchcase(found.name, name):  # it has another name here
        return str(_beside(found.parent, name, _read(found)))
    for _ in range(below):
        found = found.parent
    return str(_with_program(_complete(found, folder), path.rpartition("/")[2]))


def _complete(path: Path, folder: Path) -> Path:
    """Return the path itself, or that of a copy with what AISBench needs besides."""
    tests = path / "test.jsonl"
    if tests.is_file() and not (path / "train.jsonl").exists():
        # AISBench opens both, but takes examples from train.jsonl only for few-shot prompts.
        return _beside(path, "train.jsonl", _read(tests))
    if path.is_file() and path.suffix == ".jsonl":
        text = _read(path)
        right = _with_media(text, folder)
        if right != text:
            return _beside(path.parent, path.name, right) / path.name
    return path


def _with_program(path: Path, name: str) -> Path:
    """Return a folder that Hugging Face's library reads by the program in it.

    The program has the folder's name, which is another one here. A copy may lack the program; then
    each file in `data` is a part of that name.
    """
    if not path.is_dir() or (path.name == name and (path / f"{name}.py").is_file()):
        return path
    program = path / f"{name}.py"
    if not program.is_file() and name != PARTS:
        return path
    text = _read(program) if program.is_file() else PROGRAM.format(folder=str(path.absolute()))
    made = _beside(path, f"{name}.py", text)
    named = made.with_name("program") / name
    named.parent.mkdir()
    return made.rename(named)


def _beside(folder: Path, name: str, text: str) -> Path:
    """Make a folder with links to the same files, and one file with another content.

    It is removed when this process ends.
    """
    outer = tempfile.mkdtemp(prefix="dataset-")
    atexit.register(shutil.rmtree, outer, ignore_errors=True)
    made = Path(outer, "files")
    made.mkdir()
    for other in folder.iterdir():
        if other.name != name:
            (made / other.name).symlink_to(other.absolute())
    (made / name).write_text(text, encoding="utf-8")
    return made


def _with_media(text: str, folder: Path) -> str:
    """Correct the paths of media, which are often those of the machine that made the dataset."""
    first = text.split("\n", 1)[0]
    if not any(f'"{key}"' in first for key in MEDIA):
        return text
    files = {path.name: str(path) for path in folder.rglob("*") if path.is_file()}
    rows = [json.loads(line) for line in text.split("\n") if line.strip()]
    for row in rows:
        for key in MEDIA:
            if key in row:
                row[key] = _media(row[key], folder, files)
    return "".join(json.dumps(row) + "\n" for row in rows)


def _media(value: Any, folder: Path, files: dict[str, str]) -> Any:  # noqa: ANN401 - any kind
    if isinstance(value, list):
        return [_media(each, folder, files) for each in value]
    if not isinstance(value, str) or value.startswith(("http:", "https:", "data:")):
        return value
    parts = value.split("/")
    for start in range(len(parts)):
        below = folder.joinpath(*parts[start:])
        if below.is_file():
            return str(below)
    return files.get(parts[-1], value)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8")
