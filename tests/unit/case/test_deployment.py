"""Test a deployment file: environments, roles, masters, the router, errors and warnings."""

from __future__ import annotations

import pytest

from ci.case.disaggregation import PROXY
from ci.case.load import parse
from ci.errors import CaseError

SERVE = "vllm serve m --port $SERVER_PORT"


def text_of(*servers, apart=None, env="{SERVER_PORT: 8080}", **keys):
    """A file of the given servers: command lines, or mappings of further keys."""
    lines = ["test_name: t", "model: m", f"num_nodes: {len(servers)}", "npu_per_node: 8"]
    lines += [f"env_common: &common {env}"] if env else []
    if apart:
        prefill, decode, *more = apart
        inner = [f"prefiller_host_index: {prefill}", f"decoder_host_index: {decode}", *more]
        lines += [f"disaggregated_prefill: {{{', '.join(inner)}}}"]
    lines += [f"{key}: {value}" for key, value in keys.items()]
    lines += ["deployment:"]
    for server in servers:
        command, more = server if isinstance(server, tuple) else (server, "")
        lines.append(f"  - {{server_cmd: '{command}'{', ' if more else ''}{more}}}")
    return "\n".join(lines)


def case_of(*servers, **keys):
    [case] = parse(text_of(*servers, **keys).encode(), "c.yaml")
    return case


def problems_of(*servers, **keys):
    with pytest.raises(CaseError) as refused:
        case_of(*servers, **keys)
    return [f"{problem.key}: {problem.message}" for problem in refused.value.problems]


def warnings_of(*servers, **keys):
    return [f"{warning.key}: {warning.message}" for warning in case_of(*servers, **keys).warnings]


@pytest.mark.parametrize(
    ("own", "env"),
    [
        ("", {"A": "1", "B": "2"}),
        ("envs: ", {"A": "1", "B": "2"}),
        ("env_extend: {B: 3}", {"A": "1", "B": "3"}),
        ("envs: {B: 3}", {"A": "1", "B": "3"}),
        ("envs: {<<: *common, B: 3}", {"A": "1", "B": "3"}),
    ],
)
def test_environment(own, env):
    assert case_of(("serve x", own), env="{A: 1, B: 2}").nodes[0].env == env


def test_a_server_that_does_not_merge_the_common_environment_lacks_it():
    case = case_of(
        ("serve", "envs: {<<: *common}"), ("serve", "envs: {B: 3}"), "serve", env="{A: 1, B: 2}"
    )
    assert [node.env for node in case.nodes] == [
        *({"A": "1", "B": "2"}, {"B": "3"}, {"A": "1", "B": "2"}),
    ]


HEAD, WORKER = SERVE, f"{SERVE} --headless"
P, D, M = "prefill", "decode", "mixed"


@pytest.mark.parametrize(
    ("servers", "apart", "roles", "masters"),
    [
        ([HEAD, WORKER], None, [M, M], [0, 0]),
        ([HEAD, (WORKER, "master_index: 1")], None, [M, M], [0, 1]),
        ([HEAD, HEAD], ("[0]", "[1]"), [P, D], [0, 1]),
        ([HEAD, HEAD], ("[0]", "[1]", "enabled: false"), [M, M], [0, 0]),
        ([HEAD, (HEAD, "master_index: 0")], ("[0]", "[1]"), [P, D], [0, 0]),
        ([HEAD, HEAD, HEAD, WORKER], ("[0, 1]", "[2]"), [P, P, D, D], [0, 0, 2, 2]),
        ([HEAD, WORKER, HEAD, WORKER], ("[0]", "[2]"), [P, P, D, D], [0, 0, 2, 2]),
        ([HEAD, HEAD, WORKER, HEAD], ("[0, 1]", "[3]"), [P, P, P, D], [0, 0, 1, 3]),
        ([HEAD, WORKER, HEAD, WORKER], ("[0, 1]", "[2, 3]"), [P, P, D, D], [0, 0, 2, 2]),
        ([HEAD, HEAD, HEAD], ("[0]", "[1]"), [P, D, M], [0, 1, 1]),
    ],
)
def test_roles_and_masters(servers, apart, roles, masters):
    nodes = case_of(*servers, apart=apart).nodes
    assert [node.role for node in nodes] == roles
    assert [node.master for node in nodes] == masters


def test_the_router_of_separated_prefill_and_decode():
    router = case_of(HEAD, HEAD, apart=("[0]", "[1]")).router
    assert (router.kind, router.script, router.host, router.port) == ("script", PROXY, 0, 1999)
    assert (router.health_path, router.env) == ("/healthcheck", {"SERVER_PORT": "8080"})
    env = "{SERVER_PORT: 1999, DISAGGREGATED_PREFILL_PROXY_SCRIPT: my.py}"
    router = case_of(HEAD, HEAD, apart=("[0]", "[1]"), env=env).router
    assert (router.script, router.port) == ("my.py", 2000)
    assert case_of(HEAD, HEAD).router is None
    assert case_of(HEAD, HEAD, apart=("[0]", "[1]", "enabled: false")).router is None


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("{kind: vllm-router}", ("vllm-router", "", (), 0, 1999, "/health")),
        (
            "{kind: vllm-router, port: 9, host: 1, arguments: --policy random}",
            ("vllm-router", "", ("--policy", "random"), 1, 9, "/health"),
        ),
        ("{script: /opt/p.py}", ("script", "/opt/p.py", (), 0, 1999, "/healthcheck")),
        (
            "{kind: command, command: ./go $NODE_1_IP $PORT, health_path: /up}",
            ("command", "", ("./go", "$NODE_1_IP", "$PORT"), 0, 1999, "/up"),
        ),
    ],
)
def test_a_router_of_the_case(entry, expected):
    router = case_of(HEAD, HEAD, apart=("[0]", "[1]"), router=entry).router
    values = (router.kind, router.script, router.argv, router.host, router.port, router.health_path)
    assert values == expected


@pytest.mark.parametrize(
    ("servers", "keys", "message"),
    [
        ([HEAD], {"router": "{kind: script}"}, "router: needs prefill and decode servers"),
        (
            [HEAD, HEAD],
            {"router": "{host: 2}", "apart": ("[0]", "[1]")},
            "router.host: there is no host 2; indices are 0 to 1",
        ),
        ([HEAD], {"router": "{kind: command}"}, "router.command: missing"),
        (
            [HEAD, HEAD],
            {"router": "{command: x}", "apart": ("[0]", "[1]")},
            "router.command: has no effect with kind: script",
        ),
        (
            [HEAD],
            {"router": "{kind: command, command: x $PORTS}"},
            "router: unknown variable $PORTS; did you mean $PORT?",
        ),
        ([HEAD], {"router": "{kind: nginx}"}, "router.kind: expected 'script', 'vllm-router'"),
        (
            [HEAD, WORKER],
            {"apart": ("[0]", "[1]")},
            "decoder_host_index: names only --headless servers",
        ),
        (["serve $LOCAL_I"], {}, "deployment[0].server_cmd: unknown variable $LOCAL_I; did you "),
        (["serve ${NODE_1_IP}"], {}, "unknown variable $NODE_1_IP; did you mean $NODE_0_IP?"),
        (["serve"], {"env": "{A: $B}"}, "env_common.A: unknown variable $B"),
        ([("serve", "envs: {A: $B}")], {}, "deployment[0].envs.A: unknown variable $B"),
    ],
)
def test_refused(servers, keys, message):
    [problem] = problems_of(*servers, **keys)
    assert message in problem


@pytest.mark.parametrize(
    "command", ["serve $LD_LIBRARY_PATH:$A", "serve ${NODE_0_IP} $NPU_PER_NODE", "serve 5$"]
)
def test_known_variables(command):
    assert case_of(command, env="{A: $LD_PRELOAD:$LOCAL_IP}").warnings == ()


@pytest.mark.parametrize(
    ("servers", "keys", "messages"),
    [
        ([HEAD], {}, []),
        (
            [HEAD, HEAD],
            {"apart": ("[0]", "[1]", "enabled: false")},
            ["disaggregated_prefill.enabled: false means off"],
        ),
        (
            ["serve --port 8004"],
            {},
            ["deployment[0].server_cmd: listens on 8004 (from its command"],
        ),
        (
            ["serve"],
            {},
            ["listens on 8000 (vLLM's default), which is used instead of SERVER_PORT (8080)"],
        ),
        (["serve --port 8000"], {"env": ""}, []),
        (
            ["serve --port 8000", "serve --port 8080"],
            {"env": "", "apart": ("[0]", "[1]")},
            ["deployment[0].server_cmd: listens on 8000"],
        ),
        (["serve --port 1"], {"env": "", "server_port": "2"}, ["listens on 1 (from its command"]),
        ([HEAD, WORKER.replace("$SERVER_PORT", "9")], {}, []),
        ([(HEAD, "headless: true")], {}, ["headless: true, but its command line starts an API"]),
        (
            [HEAD, (WORKER, "headless: false")],
            {},
            ["deployment[1].headless: false, but its command line has --headless"],
        ),
        ([HEAD, (WORKER, "headless: true")], {}, []),
        (
            [HEAD, WORKER, HEAD],
            {"apart": ("[0, 1]", "[2]")},
            ["prefiller_host_index[1]: server-1 is --headless: the router sends it no requests"],
        ),
        (
            [HEAD, WORKER, HEAD],
            {"apart": ("[0]", "[2]")},
            ["deployment[1]: is --headless and in neither list: it prefills for host 0"],
        ),
        ([HEAD, HEAD, WORKER], {"apart": ("[0]", "[1]")}, []),
        (
            [HEAD, HEAD, HEAD],
            {"apart": ("[0]", "[1]")},
            ["deployment[2]: is in neither list"],
        ),
        (
            [HEAD, HEAD],
            {"apart": ("[0]", "[1]", "ranktable_path: /x")},
            ["disaggregated_prefill.ranktable_path: has no effect, vLLM needs no rank table"],
        ),
        (
            [HEAD],
            {"special_dependencies": "{transformers: '5.2.0'}"},
            ["special_dependencies: not installed"],
        ),
        (
            [HEAD],
            {"special_dependencies": "{transformers: '5.2.0'}", "vllm": "'0.32.0'"},
            [],
        ),
    ],
)
def test_warnings(servers, keys, messages):
    warnings = warnings_of(*servers, **keys)
    assert len(warnings) == len(messages)
    for warning, words in zip(warnings, messages, strict=True):
        assert words in warning


def test_a_warning_has_its_line():
    [warning] = case_of(HEAD, HEAD, apart=("[0]", "[1]", "enabled: false")).warnings
    assert str(warning).startswith("c.yaml:6:")


def test_server_port_is_the_default_of_the_variable():
    case = case_of(HEAD, (HEAD, "server_port: 3"), env="", server_port="2")
    assert [node.variables for node in case.nodes] == [{"SERVER_PORT": "2"}, {"SERVER_PORT": "3"}]
    assert case.warnings == ()
