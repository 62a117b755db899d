"""Test the values and positions of YAML text, with both loaders of PyYAML."""

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.documents import source
from ci.documents.position import Position, key_text
from ci.errors import CaseError

LOADERS = [yaml.SafeLoader, *([yaml.CSafeLoader] if yaml.__with_libyaml__ else [])]


@pytest.fixture(params=LOADERS, ids=lambda loader: loader.__name__)
def loader(request, monkeypatch):
    monkeypatch.setattr(source, "_LOADER", request.param)


GOOD = {
    "scalars": "{a: 1, b: 1.5, c: yes, d: ~, e: 0, f: 1_0.5, g: 2024-01-02, h: 1_000, i: 0x10}",
    "folded": "a: >\n  x\n  --y '{\"k\": 1}'\n\n  z\n",
    "literal": "a: |-\n  x\n   y\n",
    "alias": "a: &a [1, 2]\nb: *a\n",
    "merge": "a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\n",
    "merge of merges": "a: &a {x: 1}\nb: &b {<<: *a, y: 2}\nc: {<<: *b, x: 9}\n",
    "merge before own": "a: &a {x: 1}\nb: {y: 2, <<: *a}\n",
    "anchor used before and after a merge": "a: &a {<<: &b {x: 1}, y: 2}\nb: *b\nc: *a\nd: *a\n",
    "byte order mark": "\ufeffa: 1\n",
    "document marker": "---\na: 1\n...\n",
    "windows": "a: 1\r\nb:\r\n  - 2\r\n",
    "quoted keys": '"on": 1\n"2": 3\n',
    "unicode": "ä: ö 😀\n",
    "scalar document": "x",
}


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_the_value_is_that_of_pyyaml(text):
    assert source.read(text.encode(), "f").value == yaml.safe_load(text)


# Which of several mappings wins depends on PyYAML's version there, and on how long the keys are.
MERGED = {
    "earlier of a list": ("[*first, *second]", {"x": 1, "PORT": 1, "HOST": 2}),
    "the list turned round": ("[*second, *first]", {"x": 2, "PORT": 2, "HOST": 2}),
    "one twice": ("[*first, *second, *first]", {"x": 1, "PORT": 1, "HOST": 2}),
    "merged itself": ("[*third, *second]", {"x": 1, "PORT": 3, "HOST": 2}),
    "list of one": ("[*second]", {"x": 2, "PORT": 2, "HOST": 2}),
    "own key": ("[*first, *second]\n  PORT: 9", {"x": 1, "PORT": 9, "HOST": 2}),
}


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(("merge", "expected"), MERGED.values(), ids=MERGED)
def test_the_earlier_of_several_merged_mappings_has_priority(merge, expected):
    text = (
        "a: &first {x: 1, PORT: 1}\nb: &second {x: 2, PORT: 2, HOST: 2}\n"
        f"c: &third {{<<: *first, PORT: 3}}\nd:\n  <<: {merge}\n"
    )
    assert source.read(text.encode(), "f").value["d"] == expected


@pytest.mark.usefixtures("loader")
def test_positions():
    text = "# note\na: &a\n  x: 1\nb:\n  - p: é\n    q:   2\n  - {<<: *a, y: ü3}\n"
    read = source.read(text.encode(), "f")
    assert read.keys == {
        ("a",): Position(2, 1),
        ("a", "x"): Position(3, 3),
        ("b",): Position(4, 1),
        ("b", 0, "p"): Position(5, 5),
        ("b", 0, "q"): Position(6, 5),
        ("b", 1, "x"): Position(3, 3),
        ("b", 1, "y"): Position(7, 14),
    }
    assert read.values["b", 0, "q"] == Position(6, 10)
    assert read.values["b", 1] == Position(7, 5)
    assert read.values["b", 1, "x"] == Position(3, 6)
    assert read.values[()] == Position(2, 1)


NESTED = "nested more than 50 deep"
LAUGHS = "a0: &a0 [x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 10)
)
MERGED_LAUGHS = "a0: &a0 {x: 1}\n" + "".join(
    f"a{i}: &a{i} {{k{i}: 1, <<: [{', '.join([f'*a{i - 1}'] * 300)}]}}\n" for i in range(1, 40)
)
CHAIN = "a0: &a0 [x]\n" + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 60))

BAD = {
    "empty": (b"", 1, 1, "", "file is empty"),
    "only a comment": (b"# x\n", 1, 1, "", "file is empty"),
    "not utf-8": (b"a: 1\nb: \xff\n", 2, 4, "", "not UTF-8"),
    "utf-16": ("a: 1\n".encode("utf-16"), 1, 1, "", "not UTF-8"),
    "nul": (b"a: 1\nb\x00: 2\n", 2, 2, "", "control character '\\x00'"),
    "escaped nul": (b'a: "x\\0"\n', 1, 4, "a", "control character '\\x00'"),
    "tab": (b"a:\n\tb: 1\n", 2, 1, "", "a tab here is not valid YAML; use spaces"),
    "unclosed bracket": (b"a: [1, 2\nb: 3\n", 1, 4, "", "not valid YAML: a ']' for"),
    "a backslash": (b'a: "C:\\data"\n', 1, 7, "", "for a backslash"),
    "an escape of regular expressions": (b'a: "\\d+"\n', 1, 5, "", "for a backslash"),
    "unclosed quote": (b'a: "x\n', 1, 4, "", "this quote is not closed"),
    "bad indent": (b"a: 1\n  b: 2\n", 2, 3, "", "not valid YAML: this line is"),
    "undefined alias": (b"a: 1\nb: *c\n", 2, 4, "", "there is no anchor &c"),
    "two documents": (b"a: 1\n---\nb: 2\n", 2, 1, "", "a second document begins here"),
    "duplicate": (b"a:\n  b: 1\n  c: 2\n  b: 3\n", 4, 3, "a.b", "written twice, first on line 2"),
    "key is a number": (b"a:\n  1: x\n", 2, 3, "a", "a key has to be text; put '1' in quotes"),
    "key is a truth": (b"on: x\n", 1, 1, "", "a key has to be text; put 'on' in quotes"),
    "key is a list": (b"? [1]\n: x\n", 1, 3, "", "a key has to be text"),
    "python object": (b"a: !!python/object:os.x {}\n", 1, 4, "a", "tag:yaml.org,2002:python/"),
    "set": (b"a: !!set {x}\n", 1, 4, "a", "the tag tag:yaml.org,2002:set is not supported"),
    "own tag": (b"a: !x y\n", 1, 4, "a", "'y' has the tag !x; put it in quotes"),
    "binary": (b"a: !!binary eA==\n", 1, 4, "a", "binary; put it in quotes"),
    "no such day": (b"a: 2024-13-41\n", 1, 4, "a", "'2024-13-41' is not a valid timestamp"),
    "forced int": (b"a: !!int x\n", 1, 4, "a", "'x' is not a valid int"),
    "forced bool": (b"a: !!bool x\n", 1, 4, "a", "'x' is not a valid bool"),
    "endless number": (b"a: " + b"9" * 5000, 1, 4, "a", "far too long for a number"),
    "endless sexagesimal": (b"a: 1" + b":10" * 90_000, 1, 4, "a", "far too long for a number"),
    "octal": (b"a: [022]\n", 1, 5, "a[0]", "YAML reads '022' in base 8, as 18; write the number"),
    "signed octal": (b"a: -0_1\n", 1, 4, "a", "YAML reads '-0_1' in base 8, as -1"),
    "octal with a tag": (b"a: !!int '07'\n", 1, 4, "a", "YAML reads '07' in base 8, as 7"),
    "sexagesimal": (b"a: 22:30\n", 1, 4, "a", "YAML reads '22:30' in base 60, as 1350"),
    "sexagesimal fraction": (b"a: 1:30.5\n", 1, 4, "a", "'1:30.5' in base 60, as 90.5"),
    "merge of a scalar": (b"a: {<<: 1}\n", 1, 9, "a", "'<<' merges a mapping"),
    "merge of scalars": (b"a: {<<: [1]}\n", 1, 9, "a", "'<<' merges a mapping"),
    "merge twice": (
        b"a: &a {x: 1}\nb: &b {x: 2}\nc:\n  <<: *a\n  y: 3\n  <<: *b\n",
        6,
        3,
        "c",
        "'<<' is written twice, first on line 4; merge both with one list",
    ),
    "merge twice the same": (b"a: &a {x: 1}\nb: {<<: *a, <<: *a}\n", 2, 13, "b", "written twice"),
    "merge twice in what is merged": (
        b"a: &a {x: 1}\nb: {<<: {<<: *a, <<: *a}}\n",
        2,
        18,
        "b",
        "written twice",
    ),
    "recursive": (b"a: &a\n  b: *a\n", 1, 4, "a.b", "this anchor contains itself"),
    "recursive list": (b"a: &a [*a]\n", 1, 4, "a[0]", "this anchor contains itself"),
    "recursive merge": (b"a: &a\n  <<: *a\n", 1, 4, "a", "this anchor contains itself"),
    "recursive merge apart": (
        b"a: &a {<<: &b {<<: *a}}\n",
        1,
        4,
        "a",
        "this anchor contains itself",
    ),
    "billion laughs": (LAUGHS.encode(), None, None, None, "aliases expand this file to more than"),
    "merged laughs": (MERGED_LAUGHS.encode(), None, None, None, "aliases expand this file"),
    "deep by aliases": (CHAIN.encode(), None, None, None, NESTED),
    "deep flow": (b"[" * 200_000, 1, 51, "", NESTED),
    "deep flow of mappings": (b"{a: " * 200_000, 1, 201, "", NESTED),
    "deep flow in a block": (b"a:\n  - " + b"[" * 200_000, 2, 53, "", NESTED),
    "deep flow after brackets in quotes": (
        b"a: '" + b"[" * 60 + b"'\nb: [1, 2\nc: 3\n",
        2,
        4,
        "",
        "not valid YAML",
    ),
    "deep block": (b"- " * 200_000, 1, 101, "", NESTED),
    "large": (b"#" * (source.MAX_BYTES + 1), 1, 1, "", "larger than 1 MiB"),
}


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(("data", "line", "column", "key", "message"), BAD.values(), ids=BAD)
def test_refused(data, line, column, key, message):
    with pytest.raises(CaseError) as caught:
        source.read(data, "f.yaml")
    [problem] = caught.value.problems
    assert message in problem.message
    assert problem.file == "f.yaml"
    if line is not None:
        assert (problem.line, problem.column, problem.key) == (line, column, key)


def test_key_text():
    assert key_text(("deployment", 0, "envs", "A")) == "deployment[0].envs.A"
    assert key_text(("a", "b\nc")) == "a.'b\\nc'"
    assert not key_text(())


YAML_TEXT = st.text(alphabet="ab01:-[]{},&*<!>|?#'\"% \t\n.~", max_size=60)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(YAML_TEXT)
def test_any_text_is_read_as_pyyaml_reads_it_or_refused(text):
    try:
        read = source.read(text.encode(), "f")
    except CaseError:
        return
    assert repr(read.value) == repr(yaml.load(text, source._LOADER))  # noqa: S506 - safe
