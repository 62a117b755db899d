"""Test that case files of the `single_node` dialect give Cases, or all problems with positions."""

import re

import pytest
import yaml
from corpus import corpus_files, needs_corpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ci.case.load import parse
from ci.case.model import Comparison, SmokeRequest
from ci.case.single_node import reader as single_node
from ci.errors import CaseError
from ci.plan.build import build
from ci.plan.on_paper import made_up_inputs

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
PORTS = ("SERVER_PORT", "ENCODE_PORT", "PD_PORT", "PROXY_PORT")

ONE = """\
_envs: &envs
  SERVER_PORT: DEFAULT_PORT
  FLAG: true
_cmd: &cmd
  - "--port"
  - "$SERVER_PORT"
  - --max-num-seqs
  - 8
  - --config
  - '{"a": "b c"}'
_unused: {x: 1}
test_cases:
  - name: "a model / one"
    model: org/model
    envs:
      <<: *envs
      NAME: x
    special_dependencies: {transformers: 5.2}
    server_cmd: *cmd
    server_cmd_extra: ["--tensor-parallel-size", "4", "--data-parallel-size", "2"]
    test_content: [chat_completion, benchmark_comparisons]
    prompts: ["Hello", "Bye"]
    api_keyword_args: {max_tokens: 32, chat_template_kwargs: {enable_thinking: true}}
    benchmark_comparisons_args:
      - {metric: TTFT, baseline: cold, target: warm, ratio: 0.5, operator: "<"}
    benchmarks: &perfs
      cold: &perf
        case_type: performance
        dataset_path: sums
        max_out_len: 64
        batch_size: 4
        baseline: 10.5
        threshold: 0.97
      warm:
        <<: *perf
        thinking: "true"
        temperature: "0"
        top_k: "-1"
        stop: END

  - name: plain
    model: org/other
    server_cmd: vllm serve org/other --port 8004 --name 'a b'
    ready_timeout_s: 60
    device: cpu
"""

EPD = """\
test_cases:
  - name: pictures
    model: org/vl
    service_mode: epd
    envs: {ENCODE_PORT: DEFAULT_PORT, PD_PORT: DEFAULT_PORT, PROXY_PORT: , X: 1}
    epd_server_cmds:
      - [--port, $ENCODE_PORT, --model, org/vl, --ec-transfer-config, '{"ec_role": "ec_producer"}']
      - [--port, "${PD_PORT}", --model, org/vl, -tp, 2]
    epd_proxy_args: --host 127.0.0.1 --port $PROXY_PORT --encode-servers-urls http://h:$ENCODE_PORT
    kv_pool:
      type: mooncake
      master_port: 50088
      metrics_port: 50089
      config: {protocol: ascend, here: "${LOCAL_IP}"}
"""


def cases_of(text):
    return parse(text.encode(), "cases/night.yaml")


def problems_of(text):
    with pytest.raises(CaseError) as caught:
        cases_of(text)
    return caught.value.problems


def changed(text, *replacements):
    for old, new in replacements:
        assert text.count(old) >= 1, old
        text = text.replace(old, new, 1)
    return text


def test_every_test_case_is_a_case():
    case, plain = cases_of(ONE)
    assert (case.name, case.test_name, case.path) == (
        "a-model-one",
        "a model / one",
        "cases/night.yaml",
    )
    assert (case.num_hosts, case.hosts, case.npu_per_node, case.ready_timeout_s) == (1, (), 8, 2800)
    assert case.special_dependencies == {"transformers": "5.2"}
    [node] = case.nodes
    assert node.argv[:7] == (
        *("vllm", "serve", "org/model", "--port", "$SERVER_PORT", "--max-num-seqs", "8"),
    )
    assert node.argv[7:] == (
        *("--config", '{"a": "b c"}', "--tensor-parallel-size", "4", "--data-parallel-size", "2"),
    )
    assert node.env == {
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "SERVER_PORT": "8000",
        "FLAG": "True",
        "NAME": "x",
    }
    assert (node.key_path, node.position) == ("test_cases[0]", (19, 5))
    assert [bench.name for bench in case.benchmarks] == ["cold", "warm"]
    [warning] = case.warnings
    assert (warning.line, warning.key) == (18, "test_cases[0].special_dependencies")
    assert "not installed, because the hosts' own vLLM is used" in warning.message
    assert (plain.name, plain.device, plain.npu_per_node) == ("plain", "cpu", 0)
    assert plain.nodes[0].argv[2:] == ("org/other", "--port", "8004", "--name", "a b")
    assert (plain.ready_timeout_s, plain.smoke_request, plain.benchmarks) == (
        60,
        SmokeRequest(),
        (),
    )


def test_requests_and_comparisons():
    case, _ = cases_of(ONE)
    arguments = {"max_tokens": 32, "chat_template_kwargs": {"enable_thinking": True}}
    assert case.smoke_request == SmokeRequest(prompts=("Hello", "Bye"), arguments=arguments)
    assert case.comparisons == (
        Comparison(metric="ttft_mean", target="warm", baseline="cold", ratio=0.5, operator="<"),
    )
    warm = case.benchmarks[1]
    assert (warm.template, warm.temperature, warm.top_k, warm.stop) == (
        {"thinking": True},
        0,
        -1,
        ["END"],
    )


def test_encode_and_decode_servers_behind_a_proxy():
    [case] = cases_of(EPD)
    encode, decode = case.nodes
    assert [node.name for node in case.nodes] == ["encode-0", "server-1"]
    assert [node.role for node in case.nodes] == ["encode", "mixed"]
    assert encode.argv[:4] == ("vllm", "serve", "--port", "$ENCODE_PORT")
    assert [node.env["ASCEND_RT_VISIBLE_DEVICES"] for node in case.nodes] == ["0", "1,2"]
    assert (case.npu_per_node, decode.env["PD_PORT"], decode.env["X"]) == (3, "8002", "1")
    assert (decode.key_path, decode.position) == ("test_cases[0].epd_server_cmds[1]", (8, 9))
    router = case.router
    assert (router.kind, router.port, router.health_path) == ("command", 8003, "/health")
    assert router.argv == (
        *("python", "examples/disaggregated_encoder/disagg_epd_proxy.py"),
        *("--host", "127.0.0.1", "--port", "8003", "--encode-servers-urls", "http://h:8001"),
    )
    [pool] = case.services
    assert pool.server_env["MOONCAKE_MASTER"] == "127.0.0.1:50088"
    assert '"here": "127.0.0.1"' in pool.server_files["mooncake.json"]


def test_requests_go_to_the_port_of_the_proxy():
    [case] = cases_of(EPD)
    plan = build(case, made_up_inputs(case))
    assert plan.endpoint.url == "http://127.0.0.1:8003"
    assert plan.router.health_url == "http://127.0.0.1:8003/health"


@pytest.mark.parametrize(
    ("roles", "expected"),
    [
        (("kv_producer", "kv_consumer"), ["prefill", "decode"]),
        (("kv_both", "kv_consumer"), ["mixed", "decode"]),
    ],
)
def test_roles_follow_the_transfer_configuration(roles, expected):
    text = EPD.replace('--ec-transfer-config, \'{"ec_role": "ec_producer"}\'', "--kv-a")
    for role, place in zip(roles, ("--kv-a]", "-tp, 2]"), strict=True):
        text = changed(text, (place, f'--kv-transfer-config, \'{{"kv_role": "{role}"}}\']'))
    [case] = cases_of(text)
    assert [node.role for node in case.nodes] == expected


@pytest.mark.parametrize(
    ("envs", "ports"),
    [
        ("{}", ["8001", "8002", "8003"]),
        ("{ENCODE_PORT: 8002}", ["8002", "8003", "8004"]),
        ("{PROXY_PORT: '8001', PD_PORT: DEFAULT_PORT}", ["8002", "8003", "8001"]),
    ],
)
def test_open_ports_differ_from_the_given_ports(envs, ports):
    text = re.sub("envs: .*", f"envs: {envs}", EPD)
    [case] = cases_of(text)
    assert [case.nodes[0].env[name] for name in PORTS[1:]] == ports
    assert case.router.port == int(ports[2])


def test_used_anchors_need_no_underscore():
    text = ONE.replace("_envs: ", "envs_common: ").replace("_unused", "_else")
    assert [case.name for case in cases_of(text)] == ["a-model-one", "plain"]


# text, replacement(s) → (line, column, key, what the message says)
BAD = {
    "misspelt threshold": (
        ONE,
        [("threshold: 0.97", "2threshold: 0.97")],
        (33, 9, "test_cases[0].benchmarks.cold.2threshold", "did you mean 'threshold'?"),
    ),
    "unknown at the top": (
        ONE,
        [("_unused: {x: 1}", "acc: {x: 1}")],
        (11, 1, "acc", "unknown key; known here: test_cases"),
    ),
    "unknown in a case": (
        ONE,
        [("    prompts:", "    promts:")],
        (22, 5, "test_cases[0].promts", "did you mean 'prompts'?"),
    ),
    "benchmark without a value": (
        ONE,
        [("        stop: END\n", "        stop: END\n      speed:\n")],
        (40, 13, "test_cases[0].benchmarks.speed", "has no value; write its keys below it"),
    ),
    "key of a benchmark in the case": (
        ONE,
        [("    ready_timeout_s: 60", "    batch_size: 60")],
        (44, 5, "test_cases[1].batch_size", "it belongs under 'benchmarks'"),
    ),
    "not a list": (
        ONE,
        [(ONE[ONE.index("test_cases:") :], "test_cases: {}\n")],
        (12, 13, "test_cases", "expected a list"),
    ),
    "name twice": (
        ONE,
        [("name: plain", "name: a model-one")],
        (41, 11, "test_cases[1].name", "is already the name of test_cases[0]"),
    ),
    "no name": (
        ONE,
        [("name: plain", "name: '?'")],
        (41, 11, "test_cases[1].name", "cannot name a case"),
    ),
    "no command": (
        ONE,
        [("    server_cmd: vllm serve org/other --port 8004 --name 'a b'\n", "")],
        (41, 5, "test_cases[1].server_cmd", "missing"),
    ),
    "unclosed quote": (
        ONE,
        [("--name 'a b'", "--name 'a b")],
        (43, 17, "test_cases[1].server_cmd", "no closing quotation; close every quote"),
    ),
    "list in a command": (
        ONE,
        [("  - --max-num-seqs", "  - - -max-num-seqs")],
        (7, 5, "test_cases[0].server_cmd[2]", "expected text or a number, found a list"),
    ),
    "list as a variable": (
        ONE,
        [("      NAME: x", "      NAME: [x]")],
        (17, 13, "test_cases[0].envs.NAME", "found a list"),
    ),
    "no port": (
        ONE,
        [("--port 8004", "--port high")],
        (43, 5, "test_cases[1].server_cmd", "--port high is not a port"),
    ),
    "no port in the environment": (
        ONE,
        [("SERVER_PORT: DEFAULT_PORT", "SERVER_PORT: DEFAULTPORT")],
        (2, 3, "test_cases[0].envs.SERVER_PORT", "is not a port; write 1 to 65535"),
    ),
    "far too many devices": (
        ONE,
        [('"--data-parallel-size", "2"', '"--data-parallel-size", "9999999"')],
        (19, 5, "test_cases[0].server_cmd", "its parallel sizes need 39999996 devices"),
    ),
    "unknown service mode": (
        EPD,
        [("service_mode: epd", "service_mode: edp")],
        (4, 19, "test_cases[0].service_mode", "did you mean 'epd'?"),
    ),
    "no proxy": (
        EPD,
        [("    epd_proxy_args:", "    prompts:")],
        (2, 5, "test_cases[0].epd_proxy_args", "missing; service_mode: epd needs it"),
    ),
    "server without a port": (
        EPD,
        [('[--port, "${PD_PORT}", ', "[")],
        (8, 9, "test_cases[0].epd_server_cmds[1]", "has no --port"),
    ),
    "one port twice": (
        EPD,
        [('"${PD_PORT}"', "$PROXY_PORT")],
        (9, 5, "test_cases[0].epd_proxy_args", "port 8003 is used by another server or the proxy"),
    ),
    "port of an unknown variable": (
        EPD,
        [("--port $PROXY_PORT", "--port $PORT")],
        (9, 5, "test_cases[0].epd_proxy_args", "--port $PORT: the case's envs do not define this"),
    ),
    "store without a port": (
        EPD,
        [("      metrics_port: 50089\n", "")],
        (10, 5, "test_cases[0].kv_pool.metrics_port", "missing"),
    ),
    "unknown in the store": (
        EPD,
        [("metrics_port", "metric_port")],
        (13, 7, "test_cases[0].kv_pool.metric_port", "did you mean 'metrics_port'?"),
    ),
    "unknown test": (
        ONE,
        [("chat_completion", "chat_completions")],
        (21, 20, "test_cases[0].test_content[0]", "did you mean 'chat_completion'?"),
    ),
    "comparison of what is not there": (
        ONE,
        [("target: warm", "target: wram")],
        (25, 40, "test_cases[0].benchmark_comparisons_args[0].target", "did you mean 'warm'?"),
    ),
    "comparison with itself": (
        ONE,
        [("target: warm", "target: cold")],
        (25, 40, "test_cases[0].benchmark_comparisons_args[0].target", "compared with itself"),
    ),
    **{
        f"comparison with the ratio {ratio}": (
            ONE,
            [("ratio: 0.5", f"ratio: {ratio}")],
            (25, 61, "test_cases[0].benchmark_comparisons_args[0].ratio", message),
        )
        for ratio, message in (
            ("0", "at least 0.01"),
            ("-1", "at least 0.01"),
            ("1.0e-300", "at least 0.01"),
            ("0.0099", "at least 0.01"),
            ("100.1", "at most 100"),
            ("1.0e+308", "at most 100"),
            (".inf", "number"),
            ("-.inf", "number"),
            (".nan", "number"),
            ("1" + "0" * 400, "number"),
            ("true", "number"),
        )
    },
    "comparison by an unknown sign": (
        ONE,
        [('operator: "<"', 'operator: "!="')],
        (25, 76, "test_cases[0].benchmark_comparisons_args[0].operator", "found the text '!='"),
    ),
    "arguments for each prompt of a completion": (
        ONE,
        [
            ("test_content: [chat_completion,", "test_content: [completion,"),
            ("api_keyword_args: {max_tokens: 32,", "api_keyword_args: [{}] #"),
        ],
        (23, 5, "test_cases[0].api_keyword_args", "has to be a mapping"),
    ),
    "date in a request": (
        ONE,
        [("max_tokens: 32", "max_tokens: 2025-01-02")],
        (23, 23, "test_cases[0].api_keyword_args", "has no dates"),
    ),
    "number that is none": (
        ONE,
        [('temperature: "0"', 'temperature: "0.95  v54"')],
        (37, 22, "test_cases[0].benchmarks.warm.temperature", "expected a number"),
    ),
    "truth that is none": (
        ONE,
        [('thinking: "true"', "thinking: maybe")],
        (36, 19, "test_cases[0].benchmarks.warm.thinking", "expected true or false"),
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_invalid(name):
    text, replacements, (line, column, key, message) = BAD[name]
    [problem] = problems_of(changed(text, *replacements))
    assert (problem.line, problem.column, problem.key) == (line, column, key), problem
    assert message in problem.message


# text, replacement → (key, what the warning says)
ODD = {
    "own port": (
        ONE,
        ("--name", "--other"),
        ("test_cases[1].server_cmd", "the server listens on 8004"),
    ),
    "port left open that nothing takes": (
        ONE,
        ("--port 8004", "--x"),
        ("test_cases[1].server_cmd", "the server listens on 8000"),
    ),
    "variable that no shell can set": (
        ONE,
        ("NAME: x", "VLLM-X: 1"),
        ("test_cases[0].envs.VLLM-X", "did you mean 'VLLM_X'?"),
    ),
    "request with pictures that is not sent": (
        ONE,
        ('prompts: ["Hello", "Bye"]', "mm_request: {image_path: a.png}"),
        ("test_cases[0].mm_request", "as test_content does not name image"),
    ),
    "nothing to compare": (
        ONE,
        ("[chat_completion, benchmark_comparisons]", "[]"),
        ("test_cases[0].benchmark_comparisons_args", "is not judged"),
    ),
    "figure of a model's own file": (
        ONE,
        ("stop: END", "do_sample: true"),
        ("test_cases[0].benchmarks.warm.do_sample", "has no effect"),
    ),
    "false as text": (
        ONE,
        ('thinking: "true"', 'thinking: "false"'),
        ("test_cases[0].benchmarks.warm.thinking", "is sent as false"),
    ),
    "command beside servers": (
        EPD,
        ("    epd_proxy_args", "    server_cmd: []\n    server_cmd_extra: [x]\n    epd_proxy_args"),
        ("test_cases[0].server_cmd_extra", "has no effect with service_mode: epd"),
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_warnings(name):
    text, replacement, expected = ODD[name]
    usual = {str(warning) for case in cases_of(text) for warning in case.warnings}
    warnings = [each for case in cases_of(changed(text, replacement)) for each in case.warnings]
    new = [warning for warning in warnings if str(warning) not in usual]
    if name == "own port":  # this warning is also usual
        new = [warning for warning in warnings if warning.key == "test_cases[1].server_cmd"]
    [(key, message)] = [(warning.key, warning.message) for warning in new]
    assert key == expected[0]
    assert expected[1] in message


@st.composite
def mutated(draw):
    """Return a valid file with some of its bytes replaced by others of any length."""
    data = draw(st.sampled_from([ONE, EPD])).encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 40)))
        splice = st.binary(max_size=12) | st.sampled_from(
            [b"\n", b": ", b"- ", b"'", b"*cmd", b"&a ", b"[", b"{", b"~", b"1", b"no", b".nan"],
        )
        data = data[:start] + draw(splice) + data[end:]
    return data


@PATIENT
@given(mutated())
def test_any_mutation(data):
    assert_cases_or_problems(data)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.dates() | st.text("a1' {$-"),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["type", "acc", "--port", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
ENTRIES = st.dictionaries(
    st.sampled_from([*single_node.TestCase.model_fields, "zzz"]), VALUES, max_size=4
)


@PATIENT
@given(ENTRIES, st.sampled_from([ONE, EPD]))
def test_any_types(changes, text):
    document = yaml.safe_load(text)
    document["test_cases"][0] |= changes
    assert_cases_or_problems(yaml.safe_dump(document, allow_unicode=True).encode())


def assert_cases_or_problems(data):
    try:
        cases = parse(data, "f.yaml")
    except CaseError as error:
        cases, problems = (), list(error.problems)
    else:
        problems = [warning for case in cases for warning in case.warnings]
    assert cases or problems
    assert all(problem.line > 0 and problem.column > 0 for problem in problems)


# File → a part of the reason. Only true defects belong here.
DEFECTS = {
    "weekly/single_node/Qwen3.6-35B-W8A8-310P-300I-DUO.yaml": (
        r":44:9: .*\.2threshold: unknown key; did you mean 'threshold'"
    ),
}


def substituted(word, env):
    return re.sub(r"\$(\w+)|\$\{(\w+)\}", lambda m: env.get(m[1] or m[2], m[0]), str(word))


def with_any_port(env, open_ports):
    return {key: f"<{key}>" if key in open_ports else value for key, value in env.items()}


def as_their_runner(entry):
    """What the field's own runner starts: servers as (argv, env), and its proxy's argv."""
    envs = {**dict.fromkeys(PORTS, "DEFAULT_PORT"), **entry["envs"]}
    open_ports = {key for key in PORTS if envs[key] in ("DEFAULT_PORT", None)}
    env = with_any_port({key: str(value) for key, value in envs.items()}, open_ports)
    spawn = {"VLLM_WORKER_MULTIPROC_METHOD": "spawn"}
    if entry.get("service_mode") != "epd":
        words = [*entry["server_cmd"], *entry.get("server_cmd_extra", [])]
        argv = ["vllm", "serve", entry["model"], *(substituted(word, env) for word in words)]
        return open_ports, [(argv, spawn | env)], None
    more = {"VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1"} | spawn
    more["PYTORCH_NPU_ALLOC_CONF"] = "expandable_segments:True"
    servers = [
        (
            ["vllm", "serve", *(substituted(word, env) for word in words)],
            env | more | {"ASCEND_RT_VISIBLE_DEVICES": str(at)},
        )
        for at, words in enumerate(entry["epd_server_cmds"])
    ]
    return open_ports, servers, [substituted(word, env) for word in entry["epd_proxy_args"]]


@needs_corpus
@pytest.mark.parametrize("path", corpus_files("single_node", "weekly/single_node"))
def test_starts_the_same_as_vllm_ascends_runner(path, request):
    name = request.node.callspec.id
    if name in DEFECTS:
        with pytest.raises(CaseError, match=DEFECTS[name]):
            parse(path.read_bytes(), name)
        return
    entries = yaml.safe_load(path.read_bytes())["test_cases"]
    for case, entry in zip(parse(path.read_bytes(), name), entries, strict=True):
        open_ports, servers, proxy = as_their_runner(entry)
        assert case.test_name == entry["name"]
        for node, (argv, env) in zip(case.nodes, servers, strict=True):
            ours = with_any_port(node.env, open_ports)
            assert [substituted(word, ours) for word in node.argv] == argv
            # Ports that neither the file nor a command names are left out.
            assert {key: env[key] for key in ours} == ours
            assert env.keys() - ours.keys() <= set(PORTS)
        planned = build(case, made_up_inputs(case))
        for process, (argv, _) in zip(planned.servers, servers, strict=True):
            named = [re.sub(r"<(\w+_PORT)>", r"$\1", word) for word in argv]
            assert list(process.argv) == [substituted(word, process.env) for word in named]
        assert (case.router is None) == (proxy is None)
        if proxy:
            ours = list(case.router.argv[2:])
            for key in open_ports & {*case.router.env}:
                ours = [word.replace(case.router.env[key], f"<{key}>") for word in ours]
            assert ours == proxy
        named = {key: value for key, value in (entry.get("benchmarks") or {}).items() if value}
        assert [bench.name for bench in case.benchmarks] == list(named)
        for bench, written in zip(case.benchmarks, named.values(), strict=True):
            kept = bench.model_dump()
            assert {key: kept[key] for key in written} == written


@needs_corpus
@PATIENT
@given(st.data())
def test_any_mutation_of_vllm_ascends_files(data):
    path = data.draw(st.sampled_from(corpus_files("single_node", "weekly/single_node"))).values[0]
    text = path.read_bytes()
    start = data.draw(st.integers(0, len(text)))
    end = start + data.draw(st.integers(0, 40))
    assert_cases_or_problems(text[:start] + data.draw(st.binary(max_size=12)) + text[end:])
