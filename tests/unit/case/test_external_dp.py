"""Test that case files of the `external_dp` dialect give Cases, or all problems with positions."""

import random
import re

import pytest
import yaml
from corpus import corpus_files, needs_corpus
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from plans import site_of

from ci.case.external_dp import reader as external_dp
from ci.documents import source
from ci.errors import CaseError
from ci.plan.build import build
from ci.plan.servers import plan_server
from ci.vllm.devices import devices_of, visible

# File → a part of the reason. Only true defects belong here.
DEFECTS: dict[str, str] = {}
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

VALID = """\
test_name: ranks
model: some/model
num_nodes: 3
npu_per_node: 8
cluster_hosts: [a, b, c]
routing:
  type: disaggregated_prefill
  groups:
    prefiller: [0]
    decoder: [1, 2]
config:
  - node_index: 0
    port_start: 7100
    dp_rpc_port: 12321
    dp_size: 2
    dp_size_local: 2
    tp_size: 4
    dp_address: ${NODE_0_IP}
  - node_index: 1
    port_start: 7200
    dp_rpc_port: 12322
    dp_size: 4
    dp_size_local: 2
    dp_rank_start: 0
    tp_size: 2
    pp_size: 2
    dp_address: ${NODE_1_IP}
  - node_index: 2
    port_start: 7300
    dp_rpc_port: 12322
    dp_size: 4
    dp_size_local: 2
    dp_rank_start: 2
    tp_size: 2
    pp_size: 2
    dp_address: b
env_common: &env_common
  ASCEND_RT_VISIBLE_DEVICES: ${VISIBLE_DEVICES}
  SERVER_PORT: ${PORT}
  FLAG: true
env_decode: &env_decode
  <<: *env_common
  FLAG: 2
words: &words
  - --port
  - $SERVER_PORT
  - --data-parallel-size
  - ${DP_SIZE}
  - --data-parallel-rank
  - ${DP_RANK}
  - --data-parallel-address
  - ${DP_ADDRESS}
  - --data-parallel-rpc-port
  - ${DP_RPC_PORT}
  - --tensor-parallel-size
  - ${TP_SIZE}
  - --pipeline-parallel-size
  - ${PP_SIZE}
  - --kv-transfer-config
  - '{"kv_role": "kv_both"}'
  - --max-model-len
  - 4096
templates:
  - node_index: 0
    envs: *env_common
    server_cmd_template: *words
  - node_index: 1
    envs: {<<: *env_decode, OWN: x}
    server_cmd_template: *words
  - node_index: 2
    envs: *env_decode
    server_cmd_template: *words
benchmarks:
  perf:
    case_type: performance
    dataset_path: gsm8k
    max_out_len: 1
    batch_size: 1
    baseline: 10
    threshold: 0.9
"""


def case_of(text):
    return external_dp.read(source.read(text.encode(), "c.yaml"))


def problems_of(text):
    with pytest.raises(CaseError) as caught:
        case_of(text)
    return [(problem.key, problem.message) for problem in caught.value.problems]


def changed(*replacements):
    text = VALID
    for old, new in replacements:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def test_one_node_per_rank():
    case = case_of(VALID)
    assert [(node.name, node.host, node.role) for node in case.nodes] == [
        ("node-0-rank-0", 0, "prefill"),
        ("node-0-rank-1", 0, "prefill"),
        ("node-1-rank-0", 1, "decode"),
        ("node-1-rank-1", 1, "decode"),
        ("node-2-rank-0", 2, "decode"),
        ("node-2-rank-1", 2, "decode"),
    ]
    assert case.num_hosts == 3
    assert case.warnings == ()
    assert (case.name, case.model, case.hosts) == ("c", "some/model", ("a", "b", "c"))
    last = case.nodes[-1]
    assert last.variables == {
        "PORT_START": "7300",
        "PORT": "7301",
        "DP_SIZE": "4",
        "DP_SIZE_LOCAL": "2",
        "DP_RANK_START": "2",
        "DP_RANK": "3",
        "LOCAL_RANK": "1",
        "TP_SIZE": "2",
        "CP_SIZE": "1",
        "SP_SIZE": "1",
        "PP_SIZE": "2",
        "DP_ADDRESS": "${NODE_1_IP}",
        "DP_RPC_PORT": "12322",
        "VISIBLE_DEVICES": "4,5,6,7",
        "NODE_INDEX": "2",
        "CONFIG_INDEX": "2",
    }
    assert last.env["FLAG"] == "2"
    assert case.nodes[0].env["FLAG"] == "True"
    assert last.argv[-2:] == ("--max-model-len", "4096")
    assert last.position == (VALID[: VALID.index("- node_index: 2\n    envs")].count("\n") + 1, 5)


def test_the_router_is_the_proxy_on_host_0():
    front = case_of(VALID).router
    assert (front.kind, front.host, front.port) == ("script", 0, 1999)
    assert front.health_path == "/healthcheck"
    assert front.script.endswith("load_balance_proxy_server_example.py")


def test_workers_behind_a_data_parallel_balancer():
    case = case_of(
        changed(
            ("disaggregated_prefill", "generic_dp"),
            ("    prefiller: [0]\n    decoder: [1, 2]", "    worker: [0, 1, 2]"),
        )
    )
    assert {node.role for node in case.nodes} == {"mixed"}
    assert case.router.kind == "command"
    hosts = [*["${NODE_0_IP}"] * 2, *["${NODE_1_IP}"] * 2, *["${NODE_2_IP}"] * 2]
    ports = ["7100", "7101", "7200", "7201", "7300", "7301"]
    words = list(case.router.argv)
    assert words[words.index("--dp-hosts") + 1 :] == [*hosts, "--dp-ports", *ports]
    assert words[2:6] == ["--host", "${NODE_0_IP}", "--port", "1999"]
    front = build(case.model_copy(update={"benchmarks": ()}), site_of(3)).router
    assert front.argv[3:8] == ("10.0.0.1", "--port", "1999", "--dp-hosts", "10.0.0.1")


def test_hosts_without_devices():
    case = case_of(changed(("npu_per_node: 8", "npu_per_node: 0")))
    assert (case.npu_per_node, case.warnings) == (0, ())


WRONG = {
    "a host too few": (
        ("num_nodes: 3", "num_nodes: 2"),
        "num_nodes",
        "config, templates and cluster_hosts list 3",
    ),
    "a host of the list too few": ((", c]", "]"), "cluster_hosts", "lists 2 hosts"),
    "order": (("- node_index: 1", "- node_index: 2"), "config[1].node_index", "this is entry 1"),
    "order of templates": (
        ("- node_index: 1\n    envs", "- node_index: 0\n    envs"),
        "templates[1].node_index",
        "this is entry 1",
    ),
    "no rank": (("dp_size: 2", "dp_size: 0"), "config[0].dp_size", "at least 1"),
    "no devices": (("tp_size: 4", "tp_size: -1"), "config[0].tp_size", "at least 1"),
    "devices": (("tp_size: 4", "tp_size: 5"), "config[0].dp_size_local", "need 10, but npu_per"),
    "far too many": (("tp_size: 4", "tp_size: 1024\n    cp_size: 9"), "config[0]", "more devices"),
    "no port": (("port_start: 7100", "port_start: 0"), "config[0].port_start", "more than 0"),
    "last port": (("port_start: 7100", "port_start: 65535"), "config[0].port_start", "above 65535"),
    # Their types are also those of keys that have a default.
    "no number of hosts": (("num_nodes: 3\n", ""), "num_nodes", "missing; it is the number"),
    "no number of devices": (
        ("npu_per_node: 8\n", ""),
        "npu_per_node",
        "missing; it is the number",
    ),
    "missing": (("    port_start: 7100\n", ""), "config[0].port_start", "missing; it is the port"),
    "misspelt": (("tp_size: 4", "tp_sise: 4"), "config[0].tp_sise", "did you mean 'tp_size'?"),
    "misspelt part": (("templates:", "template:"), "template", "did you mean 'templates'?"),
    "range": (
        ("dp_rank_start: 2", "dp_rank_start: 3"),
        "config[2].dp_rank_start",
        "ranks 3 to 4 run here, but dp_size is 4",
    ),
    "gap": (
        ("dp_size_local: 2\n    dp_rank_start: 0", "dp_size_local: 1\n    dp_rank_start: 0"),
        "config[2].dp_rank_start",
        "rank 1 of its group runs on no host",
    ),
    "overlap": (
        ("dp_rank_start: 2", "dp_rank_start: 1"),
        "config[2].dp_rank_start",
        "rank 1 runs on config[1] already",
    ),
    "end": (
        ("dp_size_local: 2\n    dp_rank_start: 2", "dp_size_local: 1\n    dp_rank_start: 2"),
        "config[2].dp_size_local",
        "rank 3 of its group runs on no host",
    ),
    "group's size": (
        (
            "dp_size: 4\n    dp_size_local: 2\n    dp_rank_start: 2",
            "dp_size: 5\n    dp_rank_start: 2",
        ),
        "config[2].dp_size",
        "5, but config[1] of the same dp_address has 4",
    ),
    "group's port": (
        ("7300\n    dp_rpc_port: 12322", "7300\n    dp_rpc_port: 12323"),
        "config[2].dp_rpc_port",
        "12323, but config[1]",
    ),
    "head": (
        ("dp_address: ${NODE_0_IP}", "dp_address: c"),
        "config[0].dp_address",
        "rank 0 of this group runs on host 0",
    ),
    "two groups at one address": (
        ("dp_address: b", "dp_address: ${NODE_0_IP}"),
        "config[2].dp_address",
        "with role prefill, but the role here is decode",
    ),
    "no such host": (("${NODE_1_IP}", "${NODE_3_IP}"), "config[1].dp_address", "NODE_3_IP"),
    "rpc among ranks": (
        ("dp_rpc_port: 12321", "dp_rpc_port: 7101"),
        "config[0].dp_rpc_port",
        "7101 is the port of a rank on host 0",
    ),
    "router among ranks": (("7100", "1998"), "config[0].port_start", "1999, which is used by the"),
    "router is rpc": (("12321", "1999"), "config[0].dp_rpc_port", "used by the router on host 0"),
    "type": (("disaggregated_prefill", "disagregated_prefill"), "routing.type", "did you mean"),
    "no group": (("    prefiller: [0]\n", ""), "routing.groups.prefiller", "names no host"),
    "empty group": (("prefiller: [0]", "prefiller: []"), "routing.groups.prefiller", "no host"),
    "misspelt group": (("prefiller:", "prefil:"), "routing.groups.prefil", "mean 'prefiller'?"),
    "group of another type": (
        ("decoder: [1, 2]", "decoder: [1, 2]\n    worker: [0]"),
        "routing.groups.worker",
        "no such group",
    ),
    "out of range": (("[1, 2]", "[1, 3]"), "routing.groups.decoder[1]", "there is no host 3"),
    "twice": (("[1, 2]", "[1, 2, 0]"), "routing.groups.decoder[2]", "already in 'prefiller'"),
    "in no group": (("[1, 2]", "[1]"), "routing.groups", "host 2 is in no group"),
    "unknown variable": (("${DP_RANK}", "${DP_RNAK}"), "words[5]", "unknown variable $DP_RNAK"),
    "unknown in env": (("FLAG: 2", "FLAG: $FLOG"), "env_decode.FLAG", "unknown variable $FLOG"),
    "env": (("FLAG: 2", "FLAG: [2]"), "env_decode.FLAG", "expected text or a number"),
    "one port": (("$SERVER_PORT", "8000"), "words[1]", "all 2 ranks of this host would get"),
    "no option": (("--port\n", "--seed\n"), "words", "would listen on 8000; --port is missing"),
    "one rank": (("${DP_RANK}", "0"), "words[5]", "write ${DP_RANK}"),
    "two in one": (
        ("--max-model-len\n  - 4096", "--max-model-len 4096"),
        "words[16]",
        "as two items",
    ),
    "the command": (("  - --port", "  - vllm\n  - --port"), "words[0]", "begin with an option"),
    "no JSON": (('"kv_both"}', '"kv_both"'), "words[15]", "is not JSON"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid(name):
    change, key, message = WRONG[name]
    problems = problems_of(changed(change))
    # A problem under an anchor is reported at the anchor or at its alias, in the file's order.
    near = [text for path, text in problems if path == key or key.startswith(("words", "env_"))]
    assert any(message in text for text in near), problems


def test_all_problems_in_file_order():
    text = changed(
        ("num_nodes: 3", "num_nodes: 4"),
        ("prefiller: [0]", "prefiller: [7]"),
        ("tp_size: 4", "tp_size: 9"),
        ("dp_rank_start: 2", "dp_rank_start: 1"),
        ("${DP_RANK}", "${NOTHING}"),
    )
    with pytest.raises(CaseError) as caught:
        case_of(text)
    places = [(problem.line, problem.column) for problem in caught.value.problems]
    assert places == sorted(places)
    text = str(caught.value)
    parts = (
        "cluster_hosts list 3",
        "no host 7",
        "of 9 devices",
        "rank 1 runs on config[1]",
        "$NOTHING",
    )
    assert [part for part in parts if part not in text] == []


ODD = {
    "tensor parallel": (("${TP_SIZE}", "4"), "--tensor-parallel-size is 4, but config has 2"),
    "size missing": (
        ("  - --pipeline-parallel-size\n  - ${PP_SIZE}\n", ""),
        "--pipeline-parallel-size is missing, but config has 2",
    ),
    "port of its own": (("$SERVER_PORT", "${DP_RANK}1"), "--port is 01, but config has 7100"),
    "devices": (("${VISIBLE_DEVICES}", "0,1"), "would use the same devices"),
    "unused": (("words: &words", "env_more: {A: 1}\nwords: &words"), "nothing uses these"),
}


@pytest.mark.parametrize("name", ODD)
def test_warnings(name):
    change, message = ODD[name]
    lines = [str(warning) for warning in case_of(changed(change)).warnings]
    assert any(message in line for line in lines), lines


@pytest.mark.parametrize(
    ("device", "warned"), [("ascend", False), ("cuda", False), ("cpu", True), ("", True)]
)
def test_ranks_without_devices_get_them_from_the_plan_where_the_kind_is_known(device, warned):
    case = case_of(
        changed(
            ("  ASCEND_RT_VISIBLE_DEVICES: ${VISIBLE_DEVICES}\n", ""),
            ("model: some/model\n", f"model: some/model\n{device and f'device: {device}'}\n"),
        )
    )
    assert any("would use the same" in str(warning) for warning in case.warnings) == warned
    case = case.model_copy(update={"benchmarks": ()})
    servers = build(case, site_of(case.num_hosts)).servers
    shared = [server for server in servers if server.host == servers[0].host]
    seen = [visible(server.env) for server in shared]
    assert len(shared) > 1
    if warned:
        assert set(seen) == {None}
    else:
        devices = [device for own in seen for device in own]
        assert len(devices) == len(set(devices)) == sum(devices_of(one.argv) for one in shared)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ("extra: {A: 1}", "extra: unknown key"),
        ("extra: 1", "extra: unknown key"),
        ("envs: [1]", "envs: unknown key"),
        ("extra: *words", "extra: unknown key"),
        ("extra: {<<: *env_common}", "extra: unknown key"),
    ],
)
def test_unused_sections_are_refused(extra, message):
    with pytest.raises(CaseError, match=message):
        case_of(f"{VALID}{extra}\n")


def test_variables_that_only_repeat_others():
    text = changed(
        ("words: &words", "env_again: &again\n  <<: *env_common\nwords: &words"),
        ("envs: *env_decode", "envs:\n      <<: *again"),
    )
    assert case_of(text).warnings == ()


def test_a_variable_of_the_environment_with_the_name_of_a_ranks_variable():
    """The runner keeps `${X}` of the rank and `$X` of the environment apart."""
    text = changed(
        ("SERVER_PORT: ${PORT}", "SERVER_PORT: ${PORT}\n  PORT: 1${PORT}\n  MODEL: other"),
        ("- 4096", "- ${PORT}-$PORT-${MODEL}-$MODEL"),
    )
    process = plan_server(case_of(text), site_of(3), case_of(text).nodes[1])
    assert process.env["PORT"] == "17101"
    assert process.port == 7101
    assert process.argv[-1] == "7101-17101-some/model-other"
    assert process.argv[:3] == ("vllm", "serve", "some/model")


def rendered(text, braced, plain, *, strict):
    """What the field's runner makes of one text."""
    text = re.sub(r"\$\{(\w+)\}", lambda match: braced[match[1]], text)
    missing = None if strict else ""
    return re.sub(r"(?<!\$)\$(\w+)", lambda match: plain.get(match[1], missing), text)


def ranks_by_the_runner(document, addresses):
    """Environment and command line of every rank, by the field's runner's rules."""
    role = {at: name for name, all_of in document["routing"]["groups"].items() for at in all_of}
    cluster = {f"NODE_{at}_IP": address for at, address in enumerate(addresses)}
    for at, (entry, template) in enumerate(
        zip(document["config"], document["templates"], strict=True)
    ):
        get = {"dp_size": 1, "dp_size_local": 1, "dp_rank_start": 0, **entry}.__getitem__
        sizes = {key: entry.get(f"{key}_size", 1) for key in ("tp", "cp", "sp", "pp")}
        each = sizes["tp"] * sizes["cp"] * sizes["sp"] * sizes["pp"]
        own = {**cluster, "LOCAL_IP": addresses[at], "MASTER_IP": addresses[0]}
        for local in range(get("dp_size_local")):
            values = {
                "MODEL": document["model"],
                "PORT_START": get("port_start"),
                "PORT": get("port_start") + local,
                "DP_SIZE": get("dp_size"),
                "DP_SIZE_LOCAL": get("dp_size_local"),
                "DP_RANK_START": get("dp_rank_start"),
                "DP_RANK": get("dp_rank_start") + local,
                "LOCAL_RANK": local,
                **{f"{key.upper()}_SIZE": size for key, size in sizes.items()},
                "DP_ADDRESS": rendered(entry["dp_address"], own, {}, strict=True),
                "DP_RPC_PORT": get("dp_rpc_port"),
                "VISIBLE_DEVICES": ",".join(map(str, range(local * each, (local + 1) * each))),
                "NODE_INDEX": at,
                "CONFIG_INDEX": at,
                "LWS_WORKER_INDEX": at,
            }
            braced = {**own, **{key: str(value) for key, value in values.items()}}
            network = {
                "HCCL_IF_IP": addresses[at],
                **dict.fromkeys(
                    ["HCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "NIC_NAME"],
                    "eth0",
                ),
                "LOCAL_IP": addresses[at],
                "MASTER_IP": addresses[0],
            }
            host = {name: f"${name}" for name in ("LD_LIBRARY_PATH", "LD_PRELOAD")}
            env = {}
            for key, value in {**template["envs"], **network}.items():
                env[key] = rendered(str(value), braced, {**host, **env}, strict=False)
            words = [
                rendered(str(word), braced, env, strict=True)
                for word in template["server_cmd_template"]
            ]
            yield role[at], at, env, ("vllm", "serve", document["model"], *words)


@needs_corpus
@pytest.mark.parametrize("path", corpus_files(having="external_dp"))
def test_a_file_of_vllm_ascend(path, request):
    name = request.node.callspec.id
    if name in DEFECTS:
        with pytest.raises(CaseError, match=DEFECTS[name]):
            external_dp.read(source.read(path.read_bytes(), str(path)))
        return
    case = external_dp.read(source.read(path.read_bytes(), str(path)))
    document = yaml.safe_load(path.read_bytes())
    site = site_of(case.num_hosts)
    addresses = [host.address for host in site.hosts]
    theirs = list(ranks_by_the_runner(document, addresses))
    ours = [plan_server(case, site, node) for node in case.nodes]
    assert len(ours) == sum(entry["dp_size_local"] for entry in document["config"])
    for process, (role, host, env, argv) in zip(ours, theirs, strict=True):
        assert process.role == {"prefiller": "prefill", "decoder": "decode"}[role]
        assert process.node == host
        assert process.argv == argv
        added = {"VLLM_HOST_IP": addresses[host], "NCCL_SOCKET_IFNAME": "eth0"}
        assert process.env == added | env
        assert process.port == int(argv[argv.index("--port") + 1])


@needs_corpus
@pytest.mark.parametrize("path", corpus_files(having="external_dp"))
def test_a_damaged_file_of_vllm_ascend_is_refused_or_read(path):
    chance = random.Random(path.name)  # noqa: S311 - the same damage every time
    data = path.read_bytes()
    outcomes = set()
    for _ in range(4):
        damaged = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            at = chance.randrange(len(damaged))
            damaged[at : at + chance.randint(0, 3)] = chance.choice(
                [b"", b"0", b"-", b":", b"\n", b"${", b"[", b"null", b"9" * 9, b"*x", b"\xff", b"'"]
            )
        outcomes.add(outcome(bytes(damaged)))
    assert outcomes <= {"read", "refused"}


def outcome(data):
    try:
        document = source.read(data, "c.yaml")
        if isinstance(document.value, dict):
            external_dp.read(document)
    except CaseError as error:
        well = all(problem.line >= 1 and problem.message for problem in error.problems)
        return "refused" if well else f"refused without a place: {error}"
    return "read"


VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-2, 70_000),
        st.floats(allow_nan=True),
        st.sampled_from(["", "x", "${PORT}", "$X", "${NODE_9_IP}", "7100", "mooncake", "--port"]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["envs", "dp_size", "type", "A", "config"]), inner),
    ),
    max_leaves=5,
)


def paths_of(value, path=()):
    yield path
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from paths_of(item, (*path, key))


PATHS = [path for path in paths_of(yaml.safe_load(VALID)) if path]


@PATIENT
@given(st.lists(st.tuples(st.sampled_from(PATHS), VALUES), min_size=1, max_size=4))
def test_any_value_anywhere(changes):
    document = yaml.safe_load(VALID)
    for path, value in changes:
        inner = document
        for part in path[:-1]:
            try:
                inner = inner[part]
            except (LookupError, TypeError):
                break
        if isinstance(inner, dict) or (isinstance(inner, list) and path[-1] in range(len(inner))):
            inner[path[-1]] = value
    assert outcome(yaml.safe_dump(document).encode()) in {"read", "refused"}


def test_a_benchmark_without_a_value_is_refused():
    ((key, message),) = problems_of(f"{VALID}  speed:\n")
    assert key == "benchmarks.speed"
    assert message.startswith("has no value; write its keys below it")
