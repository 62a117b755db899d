"""Test that case files of the `deployment` dialect give Cases, or all problems with positions."""

import re

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.case.benchmark import Benchmark
from ci.case.deployment import reader as deployment
from ci.case.load import find, load, load_one, parse
from ci.case.model import Case
from ci.errors import CaseError, UserError

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALID = """\
test_name: local night
model: smollm2
vllm: "0.32.0"
num_nodes: 1
npu_per_node: 0
cluster_hosts: [localhost]
ready_timeout_s: 600
env_common: &common
  SERVER_PORT: 8080
  SOME_FLAG: true
  NAME: plain
deployment:
  - envs:
      <<: *common
      NAME: other
    server_cmd: >
      vllm serve smollm2
        --port $SERVER_PORT
        --config '{"a": "b c",
          "d": 1}'
benchmarks:
  acc:
    case_type: accuracy
    dataset_path: sums
    max_out_len: 64
    batch_size: 4
    baseline: 50
    threshold: 7.5
  perf:
    case_type: performance
    tool: vllm_bench
    dataset_path: sums
    num_prompts: 8
    max_out_len: 64
    batch_size: 4
    request_rate: 2
    temperature: 0
    deadline_s: 60
    baseline: 10.5
    threshold: 0.97
"""

COMMAND = "".join(VALID.splitlines(keepends=True)[15:20])


def case_of(text):
    [case] = parse(text.encode(), "cases/night.yaml")
    return case


def changed(*replacements):
    text = VALID
    for old, new in replacements:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text


def problems_of(text):
    with pytest.raises(CaseError) as caught:
        case_of(text)
    return caught.value.problems


def test_a_benchmark_without_a_value_is_refused():
    """It would be left out, and the night would pass without it."""
    (problem,) = problems_of(f"{VALID}  speed:\n")
    assert (problem.line, problem.key) == (41, "benchmarks.speed")
    assert problem.message.startswith("has no value; write its keys below it")


def test_valid():
    case = case_of(VALID)
    assert (case.name, case.path, case.test_name) == ("night", "cases/night.yaml", "local night")
    assert (case.model, case.vllm, case.npu_per_node) == ("smollm2", "0.32.0", 0)
    assert (case.hosts, case.ready_timeout_s) == (("localhost",), 600)
    [node] = case.nodes
    assert node.argv[:5] == ("vllm", "serve", "smollm2", "--port", "$SERVER_PORT")
    assert node.argv[5:] == ("--config", '{"a": "b c",\n    "d": 1}')
    assert node.env == {"SERVER_PORT": "8080", "SOME_FLAG": "True", "NAME": "other"}
    assert not node.headless
    accuracy, performance = case.benchmarks
    assert accuracy == Benchmark(
        name="acc",
        case_type="accuracy",
        dataset_path="sums",
        max_out_len=64,
        batch_size=4,
        baseline=50,
        threshold=7.5,
    )
    assert (performance.name, performance.tool, performance.deadline_s) == (
        "perf",
        "vllm_bench",
        60,
    )


def test_defaults():
    text = "test_name: t\nmodel: m\nnum_nodes: 1\nnpu_per_node: 0\ndeployment: [server_cmd: v]\n"
    case = case_of(text.replace("[server_cmd: v]", "[{server_cmd: v}]"))
    assert (case.vllm, case.hosts, case.benchmarks) == (None, (), ())
    assert (case.ready_timeout_s, case.special_dependencies) == (2800, {})
    assert case.nodes[0].env == {}


TWO_NODES = """\
test_name: two
model: m
num_nodes: 2
npu_per_node: 8
env_common: {A: 1, B: 2}
special_dependencies: {transformers: "5.2.0"}
disaggregated_prefill:
  enabled: true
  prefiller_host_index: [0]
  decoder_host_index: [1]
deployment:
  - {local_index: 0, master_index: 0, headless: false, env_extend: , server_cmd: v --port $A}
  - {local_index: 1, master_index: 0, headless: false, env_extend: {B: x}, server_cmd: v --port 2}
benchmarks:
"""


def test_two_nodes():
    case = case_of(TWO_NODES)
    assert [node.headless for node in case.nodes] == [False, False]
    assert [node.env for node in case.nodes] == [{"A": "1", "B": "2"}, {"A": "1", "B": "x"}]
    assert [node.master for node in case.nodes] == [0, 0]
    assert [node.role for node in case.nodes] == ["prefill", "decode"]
    assert case.special_dependencies == {"transformers": "5.2.0"}


def test_roles_that_are_not_enabled_are_ignored():
    case = case_of(TWO_NODES.replace("enabled: true", "enabled: false"))
    assert [node.role for node in case.nodes] == ["mixed", "mixed"]


# replacement(s) in VALID → (line, column, key, what the message says)
BAD = {
    "unknown key at the top": (
        [("test_name:", "testname: x\ntest_name:")],
        (1, 1, "testname", "unknown key; did you mean 'test_name'?"),
    ),
    "misspelt threshold": (
        [("    threshold: 0.97", "    2threshold: 0.97")],
        (40, 5, "benchmarks.perf.2threshold", "unknown key; did you mean 'threshold'?"),
    ),
    "key of another section": (
        [("num_nodes: 1", "num_nodes: 1\nserver_cmd: x")],
        (5, 1, "server_cmd", "it belongs under 'deployment'"),
    ),
    "key of the top elsewhere": (
        [("  - envs:", "  - cluster_hosts: [a]\n    envs:")],
        (13, 5, "deployment[0].cluster_hosts", "it belongs at the top of the file"),
    ),
    "unknown key that is like none": (
        [("    num_prompts: 8", "    zzz: 8")],
        (33, 5, "benchmarks.perf.zzz", "unknown key; known here: case_type, dataset_path, tool"),
    ),
    "missing at the top": (
        [("model: smollm2\n", "")],
        (1, 1, "model", "missing; it is the model that the servers serve"),
    ),
    "missing baseline": (
        [("    baseline: 50\n", "")],
        (22, 3, "benchmarks.acc.baseline", "give both 'baseline' and 'threshold', or leave out"),
    ),
    "missing threshold": (
        [("    threshold: 7.5\n", "")],
        (22, 3, "benchmarks.acc.threshold", "missing; how far below the baseline still passes"),
    ),
    "missing command": (
        [(COMMAND, "    headless: false\n")],
        (13, 5, "deployment[0].server_cmd", "missing; it is the command line that serves"),
    ),
    "text for a whole number": (
        [("num_prompts: 8", 'num_prompts: "4"')],
        (
            33,
            18,
            "benchmarks.perf.num_prompts",
            "expected a whole number, found the text '4'; write it without quotes",
        ),
    ),
    "fraction for a whole number": (
        [("batch_size: 4", "batch_size: 4.0")],
        (26, 17, "benchmarks.acc.batch_size", "expected a whole number, found the number 4.0"),
    ),
    "truth for a whole number": (
        [("num_nodes: 1", "num_nodes: true")],
        (4, 12, "num_nodes", "expected a whole number, found true"),
    ),
    "truth for a number": (
        [("baseline: 50", "baseline: yes")],
        (27, 15, "benchmarks.acc.baseline", "expected a number, found true"),
    ),
    "words for a number": (
        [("baseline: 50", "baseline: high")],
        (27, 15, "benchmarks.acc.baseline", "expected a number, found the text 'high'"),
    ),
    "number for text": (
        [("model: smollm2", "model: 4.5")],
        (2, 8, "model", "expected text, found the number 4.5; put it in quotes"),
    ),
    "version without quotes": (
        [('vllm: "0.32.0"', "vllm: 0.32")],
        (3, 7, "vllm", "expected text, found the number 0.32; put it in quotes"),
    ),
    "no version": (
        [('vllm: "0.32.0"', "vllm: latest")],
        (3, 7, "vllm", "'latest' is not a version; write e.g. '0.32.0'"),
    ),
    "date for text": (
        [("test_name: local night", "test_name: 2025-01-02")],
        (1, 12, "test_name", "found the date 2025-01-02; put it in quotes"),
    ),
    "nothing for text": (
        [("model: smollm2", "model:")],
        (2, 7, "model", "expected text, found nothing"),
    ),
    "empty text": ([("model: smollm2", 'model: ""')], (2, 8, "model", "is empty")),
    "text for a list": (
        [("cluster_hosts: [localhost]", "cluster_hosts: localhost")],
        (6, 16, "cluster_hosts", "expected a list, found the text 'localhost'"),
    ),
    "list for a mapping": (
        [("ready_timeout_s: 600", "special_dependencies: [1]")],
        (7, 23, "special_dependencies", "expected a mapping of keys to values, found a list"),
    ),
    "text for a server": (
        [
            ("  - envs:", "  - vllm serve\n  - envs:"),
            ("_nodes: 1", "_nodes: 2"),
            ("[localhost]", "[]"),
        ],
        (13, 5, "deployment[0]", "expected a mapping of keys to values, found the text"),
    ),
    "zero nodes": ([("num_nodes: 1", "num_nodes: 0")], (4, 12, "num_nodes", "at least 1")),
    "negative devices": (
        [("npu_per_node: 0", "npu_per_node: -1")],
        (5, 15, "npu_per_node", "-1 is out of range; it has to be at least 0"),
    ),
    "no prompts": (
        [("num_prompts: 8", "num_prompts: 0")],
        (33, 18, "benchmarks.perf.num_prompts", "0 is out of range; it has to be more than 0"),
    ),
    "negative threshold": (
        [("threshold: 7.5", "threshold: -1")],
        (28, 16, "benchmarks.acc.threshold", "-1 is out of range"),
    ),
    "infinite baseline": (
        [("baseline: 50", "baseline: .inf")],
        (27, 15, "benchmarks.acc.baseline", "inf is "),
    ),
    "not a number": (
        [("baseline: 10.5", "baseline: .nan")],
        (39, 15, "benchmarks.perf.baseline", "nan is "),
    ),
    "more than all": (
        [("baseline: 50", "baseline: 101")],
        (27, 15, "benchmarks.acc.baseline", "an accuracy baseline is in percent"),
    ),
    "misspelt kind": (
        [("case_type: accuracy", "case_type: acuracy")],
        (23, 16, "benchmarks.acc.case_type", "did you mean 'accuracy'?"),
    ),
    "misspelt tool": (
        [("tool: vllm_bench", "tool: vllm-bench")],
        (31, 11, "benchmarks.perf.tool", "found the text 'vllm-bench'; did you mean 'vllm_bench'?"),
    ),
    "tool that is like none": (
        [("tool: vllm_bench", "tool: 7")],
        (31, 11, "benchmarks.perf.tool", "'lm_eval' or 'vllm_bench', found the number 7"),
    ),
    "unsafe benchmark name": (
        [("  acc:", "  ../acc:")],
        (22, 3, "benchmarks.../acc", "'../acc' cannot name a benchmark"),
    ),
    "unsafe variable name": (
        [("  NAME: plain", "  NA ME: plain")],
        (11, 3, "env_common.NA ME", "'NA ME' cannot name an environment variable"),
    ),
    "variable without a value": (
        [("  NAME: plain", "  NAME:")],
        (11, 8, "env_common.NAME", "expected text or a number, found nothing"),
    ),
    "unbalanced quote": (
        [('"d": 1}\'', '"d": 1}')],
        (16, 17, "deployment[0].server_cmd", "no closing quotation; close every quote"),
    ),
    "empty command": (
        [(COMMAND, '    server_cmd: ""\n')],
        (16, 17, "deployment[0].server_cmd", "is empty; write the server's command line"),
    ),
    "command that begins with a variable": (
        [("vllm serve smollm2", "A=1 vllm serve smollm2")],
        (16, 17, "deployment[0].server_cmd", "begins with 'A=1'; put environment variables"),
    ),
    "command for a shell": (
        [("vllm serve smollm2", "cd x && vllm serve smollm2")],
        (
            16,
            17,
            "deployment[0].server_cmd",
            "this runs without a shell, so the server would get '&&'",
        ),
    ),
    "envs twice": (
        [("    server_cmd: >", "    env_extend: {A: 1}\n    server_cmd: >")],
        (16, 5, "deployment[0].env_extend", "'envs' is there too"),
    ),
    "more nodes than servers": (
        [("num_nodes: 1", "num_nodes: 2"), ("cluster_hosts: [localhost]\n", "")],
        (4, 12, "num_nodes", "2, but deployment lists 1 server; make them equal"),
    ),
    "more hosts than nodes": (
        [("[localhost]", "[a, b]")],
        (6, 1, "cluster_hosts", "lists 2 hosts, but num_nodes is 1"),
    ),
    "host that is an option": (
        [("[localhost]", "[-oProxyCommand=x]")],
        (6, 17, "cluster_hosts[0]", "'-oProxyCommand=x' is not a host name or address"),
    ),
    "host with a long name": (
        [("[localhost]", f"['u@{'n' * 254}']")],
        (6, 17, "cluster_hosts[0]", "is too long; a host name has at most 253 characters"),
    ),
    "octal": (
        [("num_nodes: 1", "num_nodes: 01")],
        (4, 12, "num_nodes", "YAML reads '01' in base 8, as 1; write the number that you mean"),
    ),
    "local_index out of order": (
        [("  - envs:", "  - local_index: 1\n    envs:")],
        (13, 18, "deployment[0].local_index", "1, but this is entry 0"),
    ),
    "master_index out of range": (
        [("  - envs:", "  - master_index: 1\n    envs:")],
        (13, 19, "deployment[0].master_index", "there is no host 1; indices are 0 to 0"),
    ),
}


@pytest.mark.parametrize(("replacements", "expected"), BAD.values(), ids=BAD)
def test_one_problem(replacements, expected):
    [problem] = problems_of(changed(*replacements))
    assert (problem.line, problem.column, problem.key) == expected[:3]
    assert expected[3] in problem.message
    assert str(problem).startswith(f"cases/night.yaml:{problem.line}:{problem.column}: ")


BAD_ROLES = {
    "out of range": (("decoder_host_index: [1]", "decoder_host_index: [2]"), 10, 24, "no host 2"),
    "quoted": (("decoder_host_index: [1]", "decoder_host_index: ['2']"), 10, 24, "no host 2"),
    "twice": (("decoder_host_index: [1]", "decoder_host_index: [0]"), 10, 24, "already has a role"),
    "none": (("prefiller_host_index: [0]", "prefiller_host_index: []"), 9, 3, "names no host"),
    "absent": (("  prefiller_host_index: [0]\n", ""), 7, 1, "names no host"),
    "negative": (("decoder_host_index: [1]", "decoder_host_index: [-1]"), 10, 24, "at least 0"),
    "unknown": (("  enabled: true", "  enable: true"), 8, 3, "did you mean 'enabled'?"),
}


@pytest.mark.parametrize(("change", "line", "column", "message"), BAD_ROLES.values(), ids=BAD_ROLES)
def test_roles(change, line, column, message):
    [problem] = problems_of(TWO_NODES.replace(*change))
    assert (problem.line, problem.column) == (line, column)
    assert message in problem.message


def test_all_problems_in_the_order_of_the_file():
    text = changed(
        ("model: smollm2", "model: 4"),
        ("num_nodes: 1", "num_nodes: 3"),
        ("tool: vllm_bench", "tool: x"),
        ("deadline_s: 60", "dedline_s: 60"),
    )
    keys = [problem.key for problem in problems_of(text)]
    assert keys == [
        "model",
        "num_nodes",
        "benchmarks.perf.tool",
        "benchmarks.perf.dedline_s",
    ]


@pytest.mark.parametrize("text", ["[1]", "word", "7", "~", "{}"])
def test_other_documents(text):
    assert problems_of(text)


@pytest.fixture
def cases(tmp_path):
    for name in ("local", "local-gsm8k"):
        (tmp_path / f"{name}.yaml").write_text(VALID, encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("name", ["local", "local.yaml"])
def test_find_by_name(cases, name):
    assert find(name, cases) == cases / "local.yaml"
    assert load(find(name, cases))[0].name == "local"


def test_find_by_path(cases, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    assert find(str(cases / "local.yaml"), elsewhere) == cases / "local.yaml"


@pytest.mark.parametrize("name", ["locl", "locl.yaml"])
def test_not_found_lists_the_nearest_and_all_names(cases, name):
    with pytest.raises(UserError, match=r"there are: local, local-gsm8k\. Did you mean 'local'"):
        find(name, cases)


@pytest.mark.parametrize("name", ["", ".", "/", "x\0y", "x" * 5000])
def test_not_found(tmp_path, name):
    with pytest.raises(UserError, match="where there are none"):
        find(name, tmp_path / "missing")


def test_unreadable(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        load(tmp_path)


@PATIENT
@given(st.binary(max_size=200))
def test_any_bytes(data):
    assert_case_or_problems(data)


@st.composite
def mutated(draw):
    """Return a valid case with some of its bytes replaced by others of any length."""
    data = draw(st.sampled_from([VALID, TWO_NODES])).encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        splice = st.binary(max_size=12) | st.sampled_from(
            [
                b"$X",
                b"${NODE_0_IP}",
                b"router: {host: '7'}\n",
                b"\n",
                b": ",
                b"- ",
                b"'",
                b"*common",
                b"&a ",
                b"[",
                b"{",
                b"~",
                b"1",
                b"no",
                b".nan",
            ],
        )
        data = data[:start] + draw(splice) + data[end:]
    return data


def test_an_error_in_the_first_line_is_at_that_line():
    with pytest.raises(CaseError) as caught:
        parse(b"$ {A: 1, B: 2}\nmodel x", "f.yaml")
    assert [problem.line for problem in caught.value.problems] == [1]


@PATIENT
@given(mutated())
def test_any_mutation(data):
    assert_case_or_problems(data)


YAML_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.dates()
    | st.text("a1' {é", max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["envs", "server_cmd", "enabled", "baseline", "x"]), inner
        )
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(list(deployment.Deployment.model_fields))


@PATIENT
@given(st.dictionaries(KEYS, YAML_VALUES, max_size=6))
def test_any_types(document):
    text = yaml.safe_dump(document, allow_unicode=True)
    assert_case_or_problems(text.encode())


def assert_case_or_problems(data):
    try:
        cases = parse(data, "f.yaml")
    except CaseError as error:
        problems = error.problems
    else:
        assert all(isinstance(case, Case) for case in cases)
        return
    assert problems
    assert all(problem.line > 0 and problem.column > 0 for problem in problems)


SWEPT = VALID.replace("npu_per_node", "sweep: {seqs: [1, 16]}\nnpu_per_node").replace(
    "vllm serve smollm2", "vllm serve smollm2 --max-num-seqs ${sweep.seqs}"
)


@pytest.mark.parametrize(
    ("asked", "name"),
    [
        ("#night-seqs1", "night-seqs1"),
        ("#seqs16", "night-seqs16"),
        ("", "2 cases in it: night-seqs1, night-seqs16; choose one: --config night#NAME"),
        ("#seqs2", "no case 'seqs2' in it, there are: night-seqs1, night-seqs16"),
    ],
)
def test_one_case_of_several(tmp_path, asked, name):
    (tmp_path / "night.yaml").write_text(SWEPT, encoding="utf-8")
    if "cases" in name or "case " in name:
        with pytest.raises(UserError, match=re.escape(name)):
            load_one(f"night{asked}", tmp_path)
    else:
        assert load_one(f"night{asked}", tmp_path).name == name
