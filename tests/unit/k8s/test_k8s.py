"""Test that plans become valid Kubernetes manifests without secrets."""

from __future__ import annotations

import json
import os
import re
from functools import cache
from pathlib import Path

import jsonschema
import pytest
import yaml
from corpus import CORPUS, needs_corpus

from ci.case.load import load, parse
from ci.case.model import Router, Service
from ci.errors import UserError
from ci.k8s.document import dump
from ci.k8s.options import Options, name_of, toleration
from ci.k8s.render import PROGRAM, planned, render

CASES = sorted((Path(__file__).parents[3] / "configs" / "cases").glob("*.yaml"))
CRD = Path(os.environ.get("LAMPLIGHTER_DATASETS", "nowhere"), "lws", "leaderworkersets.crd.yaml")
needs_crd = pytest.mark.skipif(
    not CRD.is_file(), reason="LAMPLIGHTER_DATASETS names no folder with lws/: the CRD's schema"
)
HEAD = "vllm serve $MODEL --port 8080 --data-parallel-size 2 --data-parallel-size-local 1"
HEAD += " --data-parallel-address $MASTER_IP --data-parallel-rpc-port 13389"
WORKER = HEAD + " --headless --data-parallel-start-rank 1"
DNS_LABEL = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


def case_of(*commands, env="{}", more="", npus=4, device="ascend"):
    servers = "\n".join(f"  - {{server_cmd: '{command}'}}" for command in commands)
    text = f"test_name: t\nmodel: m\nnum_nodes: {len(commands)}\nnpu_per_node: {npus}\n"
    text += f"device: {device}\n{more}\nenv_common: {env}\ndeployment:\n{servers}\n"
    return parse(text.encode(), "c.yaml")[0]


def options(**more):
    return Options(**{"namespace": "night", "image": "reg/vllm:1", "pvc": "models"} | more)


def rendered(case, **more):
    chosen = options(**more)
    return render(planned(case, chosen), chosen)


def documents(case, **more):
    manifest = {
        document["kind"]: document for document in yaml.safe_load_all(rendered(case, **more))
    }
    assert list(manifest) == ["ConfigMap", "Service", "LeaderWorkerSet"]
    return manifest


def pods(case, **more):
    template = documents(case, **more)["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    return template["leaderTemplate"]["spec"], template["workerTemplate"]["spec"]


def container(case, **more):
    return pods(case, **more)[0]["containers"][0]


def hosts_of(manifest):
    return json.loads(manifest["ConfigMap"]["data"]["plan.json"])["hosts"]


def closed(schema):
    """The schema with every unknown key refused: the API server drops those, unseen."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {key: closed(value) for key, value in schema.items()}
    if isinstance(schema.get("properties"), dict) and "additionalProperties" not in schema:
        inner["additionalProperties"] = False
    return inner


@cache
def crd():
    """Return the validator of LeaderWorkerSet v1, with the keys that an API server adds."""
    read = yaml.load(CRD.read_text("utf-8"), Loader=yaml.CSafeLoader)
    (version,) = (each for each in read["spec"]["versions"] if each["name"] == "v1")
    schema = closed(version["schema"]["openAPIV3Schema"])
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    for at in ("leaderTemplate", "workerTemplate"):
        template = schema["properties"]["spec"]["properties"]["leaderWorkerTemplate"]
        template["properties"][at]["properties"]["metadata"].pop("additionalProperties", None)
    return jsonschema.Draft202012Validator(schema)


def check_all(manifest, chosen, case):
    name = name_of(case, chosen)
    crd().validate(manifest["LeaderWorkerSet"])
    check_service(manifest, name)
    for document in manifest.values():
        assert document["metadata"]["namespace"] == chosen.namespace
        assert DNS_LABEL.fullmatch(document["metadata"]["name"])
    assert sum(map(len, manifest["ConfigMap"]["data"].values())) < 1024 * 1024
    assert PROGRAM.items() <= manifest["ConfigMap"]["data"].items()


def check_service(manifest, name):
    service, template = (
        manifest["Service"],
        manifest["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"],
    )
    assert set(service) == {"apiVersion", "kind", "metadata", "spec"}
    assert service["apiVersion"] == "v1"
    # LWS makes a headless Service of the set's own name.
    assert service["metadata"]["name"] != name
    spec = service["spec"]
    index = int(spec["selector"]["leaderworkerset.sigs.k8s.io/worker-index"])
    assert spec["selector"]["leaderworkerset.sigs.k8s.io/name"] == name
    (port,) = spec["ports"]
    assert port["port"] == port["targetPort"]
    pod = template["workerTemplate" if index else "leaderTemplate"]["spec"]["containers"][0]
    assert port["port"] in {each["containerPort"] for each in pod["ports"]}


@needs_crd
@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_the_projects_cases_give_valid_manifests(path):
    for case in load(path):
        chosen = options(device=case.device or "ascend")
        check_all(documents(case, device=chosen.device), chosen, case)


@needs_crd
def test_every_option_is_valid():
    more = {
        "tolerations": ("dedicated=night:NoSchedule", "spot:NoExecute"),
        "node_selector": ("kind=a3",),
        "host_paths": ("/usr/local/Ascend/driver/tools",),
        "pull_secret": "pull",
        "secret": "keys",
        "memory": "512Gi",
        "cpu": "125",
        "replicas": 2,
        "name": "big",
    }
    case = case_of(HEAD, WORKER, env="{HF_TOKEN: hf_0123456789}")
    check_all(documents(case, **more), options(**more), case)


@needs_crd
@pytest.mark.parametrize(
    ("at", "value"),
    [
        (("spec", "replica"), 1),
        (("spec", "leaderWorkerTemplate", "size"), "2"),
        (("spec", "leaderWorkerTemplate", "restartPolicy"), "Never"),
        (("spec", "leaderWorkerTemplate", "leaderTemplate", "spec", "volume"), []),
    ],
)
def test_the_validation_itself_detects_errors(at, value):
    document = documents(case_of(HEAD, WORKER))["LeaderWorkerSet"]
    inner = document
    for key in at[:-1]:
        inner = inner[key]
    inner[at[-1]] = value
    with pytest.raises(jsonschema.ValidationError):
        crd().validate(document)


@needs_crd
@needs_corpus
def test_cases_of_vllm_ascend():
    """Render every case that can be planned; tests of the plan cover the others."""
    chosen, sizes = options(device="ascend"), []
    for path in sorted(CORPUS.rglob("*.yaml")):
        try:
            plans = [(case, planned(case, chosen)) for case in load(path) if case.npu_per_node]
        except UserError:
            continue
        for case, plan in plans:
            text = render(plan, chosen)
            manifest = {document["kind"]: document for document in yaml.safe_load_all(text)}
            check_all(manifest, chosen, case)
            assert_same_plan(plan, manifest)
            assert not any(host.address in text for host in plan.hosts)
            sizes.append(len(plan.hosts))
    assert len(sizes) >= 40
    assert set(sizes) >= {2}


def assert_same_plan(plan, manifest):
    """Check that the pods start the processes of the plan, with their own addresses."""
    template = manifest["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
    assert template["size"] == len(plan.hosts)
    listed = template["leaderTemplate"]["spec"]["containers"][0]["env"]
    common = {item["name"]: item["value"] for item in listed if "value" in item}
    common.pop("LAST_WORDS")

    def filled(text):
        text = text.replace("${RUN_FOLDER}", f"{plan.workspace}/.lamplighter/<host>/<run>/inputs")
        return re.sub(r"\$\{NODE_(\d+)_IP\}", lambda at: plan.hosts[int(at[1])].address, text)

    started = {}
    for host, items in zip(plan.hosts, hosts_of(manifest), strict=True):
        for item in items:
            env = {**common, **{key: filled(value) for key, value in item["env"].items()}}
            files = {path: filled(text) for path, text in item["files"].items()}
            started[item["name"]] = (host.name, tuple(map(filled, item["argv"])), env, files)
    assert started == {
        each.name: (each.host, each.argv, dict(each.env), dict(each.files))
        for each in plan.processes
    }


def test_the_pods_run_the_plan_with_their_own_addresses():
    case = case_of(
        HEAD, WORKER, env="{A: $LOCAL_IP, B: fixed, LD_LIBRARY_PATH: /x:$LD_LIBRARY_PATH}"
    )
    manifest = documents(case, name="pair")
    assert_same_plan(planned(case, options(name="pair")), manifest)
    (head,), (worker,) = hosts_of(manifest)
    assert head["health"] == "http://${NODE_0_IP}:8080/health"
    assert worker["health"] is None
    at = worker["argv"].index("--data-parallel-address")
    assert worker["argv"][at + 1] == "${NODE_0_IP}"
    assert (head["env"]["A"], worker["env"]["A"]) == ("${NODE_0_IP}", "${NODE_1_IP}")
    assert "B" not in head["env"]
    # The kubelet would not expand it; the pod does.
    assert head["env"]["LD_LIBRARY_PATH"] == "/x:$LD_LIBRARY_PATH"


def test_servers_wait_for_services_and_a_router_for_the_servers():
    store = Service(
        name="store",
        host=1,
        argv=("serve", "$FOLDER/a.json"),
        ports=(50088, 9003),
        files={"a.json": '{"at": "$LOCAL_IP:50088"}'},
    )
    front = Router(kind="command", argv=("route", "$LOCAL_IP"), host=0, port=1999)
    case = case_of("serve --port 81", "serve --port 82").model_copy(
        update={"services": (store,), "router": front}
    )
    manifest = documents(case)
    assert_same_plan(planned(case, options()), manifest)
    items = {item["name"]: item for host in hosts_of(manifest) for item in host}
    ports = ["tcp://${NODE_1_IP}:50088", "tcp://${NODE_1_IP}:9003"]
    healths = ["http://${NODE_0_IP}:81/health", "http://${NODE_1_IP}:82/health"]
    assert {name: sorted(item["after"]) for name, item in items.items()} == {
        "store": [],
        "server-0": ports,
        "server-1": ports,
        "router": healths,
    }
    assert items["router"]["health"] == "http://${NODE_0_IP}:1999/health"
    assert items["store"]["argv"] == ["serve", "${RUN_FOLDER}/store/a.json"]
    assert items["store"]["files"] == {"a.json": '{"at": "${NODE_1_IP}:50088"}'}
    assert manifest["Service"]["spec"]["ports"][0]["port"] == 1999
    check_service(manifest, "c")


def test_requirements_of_the_image_are_noted():
    front = Router(kind="vllm-router")
    case = case_of("serve --port 81", "serve --port 82")
    roles = zip(case.nodes, ("prefill", "decode"), strict=True)
    nodes = tuple(node.model_copy(update={"role": role}) for node, role in roles)
    more = {"router": front, "nodes": nodes, "special_dependencies": {"transformers": "5.0"}}
    text = rendered(case.model_copy(update=more))
    assert "# NOTE: the image must have transformers 5.0, vllm-router." in text
    script = {"router": Router(kind="script", script="examples/proxy.py"), "nodes": nodes}
    text = rendered(case.model_copy(update=script), workdir="/vllm-workspace")
    assert "# NOTE: examples/proxy.py must be in the image" in text
    assert text.count("workingDir: /vllm-workspace") == 2


def test_a_case_without_servers_has_no_pods():
    case = case_of("serve").model_copy(update={"nodes": ()})
    with pytest.raises(UserError, match="starts no server"):
        rendered(case)


def test_addresses_are_the_names_that_leaderworkerset_gives():
    plan = planned(case_of(HEAD, WORKER), options(name="pair"))
    assert [host.address for host in plan.hosts] == [
        "pair-0.pair.night",
        "pair-0-1.pair.night",
    ]
    assert {host.interface for host in plan.hosts} == {"eth0"}


@pytest.mark.parametrize(
    ("device", "more", "resources"),
    [
        ("ascend", {}, {"huawei.com/Ascend910": "4"}),
        ("cuda", {}, {"nvidia.com/gpu": "4"}),
        ("ascend", {"resource": "huawei.com/ascend-1980"}, {"huawei.com/ascend-1980": "4"}),
        ("ascend", {"device": "cuda"}, {"nvidia.com/gpu": "4"}),
        ("cpu", {"cpu": "8", "memory": "32Gi"}, {"cpu": "8", "memory": "32Gi"}),
    ],
)
def test_resources_by_kind(device, more, resources):
    case = case_of("vllm serve m", device=device)
    spec = container(case, **more)
    assert spec["resources"] == {"requests": resources, "limits": resources}
    assert ("securityContext" in spec) == (device != "cpu")


def test_a_group_has_the_size_of_the_plan_and_shows_failures():
    spec = documents(case_of(HEAD, WORKER), replicas=3)["LeaderWorkerSet"]["spec"]
    template = spec["leaderWorkerTemplate"]
    assert (spec["replicas"], template["size"], template["restartPolicy"]) == (3, 2, "None")


def test_shared_memory_models_and_time_to_end():
    leader, worker = pods(case_of(HEAD, WORKER), shm="64Gi", mount="/data", grace_s=30)
    for pod in (leader, worker):
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {
            mount["mountPath"]: mount["name"] for mount in pod["containers"][0]["volumeMounts"]
        }
        assert volumes[mounts["/dev/shm"]]["emptyDir"] == {"medium": "Memory", "sizeLimit": "64Gi"}
        claim = volumes[mounts["/data"]]["persistentVolumeClaim"]
        assert claim == {"claimName": "models"}
        assert pod["terminationGracePeriodSeconds"] > 30
        # A Service called vllm would give its pods VLLM_PORT=tcp://…, which vLLM reads.
        assert pod["enableServiceLinks"] is False
    ports = [
        [each["containerPort"] for each in pod["containers"][0].get("ports", [])]
        for pod in (leader, worker)
    ]
    assert ports == [[8080, 13389], []]


def test_the_endpoint_may_be_on_a_worker():
    case = case_of(WORKER, HEAD)
    head = case.nodes[1].model_copy(update={"master": 1})
    case = case.model_copy(update={"nodes": (case.nodes[0].model_copy(update={"master": 1}), head)})
    manifest = documents(case)
    assert (
        manifest["Service"]["spec"]["selector"]["leaderworkerset.sigs.k8s.io/worker-index"] == "1"
    )
    check_service(manifest, "c")


def test_the_same_plan_gives_the_same_text_and_another_makes_new_pods():
    case, other = case_of(HEAD, WORKER), case_of(HEAD + " --seed 1", WORKER)
    assert rendered(case) == rendered(case)

    def digest(case):
        spec = documents(case)["LeaderWorkerSet"]["spec"]["leaderWorkerTemplate"]
        return spec["workerTemplate"]["metadata"]["annotations"]["lamplighter/plan"]

    assert digest(case) != digest(other)


VALUE = "hf_0123456789"
OURS = {"secret": "keys"}


def test_a_secret_comes_from_a_secret():
    case = case_of(HEAD, WORKER, env=f"{{HF_TOKEN: {VALUE}, TOKENIZERS_PARALLELISM: no_}}")
    with pytest.raises(UserError, match=r"HF_TOKEN: looks secret.*--secret c: .*create secret"):
        rendered(case)
    assert VALUE not in rendered(case, **OURS)
    listed = {item["name"]: item for item in container(case, **OURS)["env"]}
    assert listed["HF_TOKEN"]["valueFrom"] == {"secretKeyRef": {"name": "keys", "key": "HF_TOKEN"}}
    assert listed["TOKENIZERS_PARALLELISM"]["value"] == "no_"


@pytest.mark.parametrize("word", ["--api-key " + VALUE, "--api-key=$MY_KEY", "--x a$MY_KEY"])
def test_a_secret_in_a_command_line_is_refused(word):
    case = case_of(f"vllm serve m {word}", env=f"{{MY_KEY: {VALUE}}}")
    with pytest.raises(UserError, match=r"contains a secret.*VLLM_API_KEY") as caught:
        rendered(case, **OURS)
    assert VALUE not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"namespace": "Night"}, "--namespace Night: expected lower case"),
        ({"namespace": ""}, "give --namespace"),
        ({"image": ""}, "give --image"),
        ({"image": "a b"}, "--image a b"),
        ({"pvc": ""}, "give --pvc"),
        ({"name": "9lives"}, "--name 9lives"),
        ({"name": "x" * 46}, "at most 45"),
        ({"shm": "lots"}, "--shm lots: expected a quantity"),
        ({"memory": "5 GB"}, "--memory 5 GB"),
        ({"mount": "cache"}, "--mount cache"),
        ({"replicas": 0}, "--replicas"),
        ({"resource": "npu"}, "--resource npu"),
        ({"device": "tpu"}, "--device tpu: unknown; choose one of"),
        ({"tolerations": ("dedicated=night",)}, "--tolerate dedicated=night"),
        ({"node_selector": ("a3",)}, "--node-selector a3"),
        ({"host_paths": ("driver",)}, "--host-path driver"),
    ],
)
def test_options_that_the_cluster_would_refuse(more, message):
    with pytest.raises(UserError, match=message):
        rendered(case_of(HEAD, WORKER), **more)


def test_accelerators_without_a_number_or_kind():
    with pytest.raises(UserError, match="npu_per_node: is 0"):
        rendered(case_of("vllm serve m", npus=0))
    case = case_of("vllm serve m").model_copy(update={"device": None})
    with pytest.raises(UserError, match="give --device"):
        rendered(case)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("a=b:NoSchedule", {"key": "a", "operator": "Equal", "value": "b", "effect": "NoSchedule"}),
        ("x.io/a:NoExecute", {"key": "x.io/a", "operator": "Exists", "effect": "NoExecute"}),
    ],
)
def test_tolerations(text, meant):
    assert toleration(text) == meant


@pytest.mark.parametrize(
    ("case_name", "name"),
    [
        ("Qwen3-235B-W8A8", "qwen3-235b-w8a8"),
        ("Llama-3.2_1B", "llama-3-2-1b"),
        ("4090", "case-4090"),
        ("x" * 44 + "-yz", "x" * 44),
    ],
)
def test_names_after_the_case(case_name, name):
    case = case_of("vllm serve m").model_copy(update={"name": case_name})
    assert name_of(case, options()) == name


@pytest.mark.parametrize("text", ["1e3", "y", "on", "0x1f", "1_000", "null", "~", "8080", "No", ""])
def test_an_ambiguous_text_is_quoted(text):
    written = dump([{"value": text}]).partition(": ")[2].strip()
    assert written in {f'"{text}"', f"'{text}'"}


def test_long_texts_are_blocks():
    assert dump([{"key": "x\ny\n"}]) == "---\nkey: |\n  x\n  y\n"
    assert "  pod.py: |\n    " in rendered(case_of("vllm serve m"))


def test_a_server_on_loopback_is_noted():
    assert "NOTE" in rendered(case_of("vllm serve m --host 127.0.0.1"))
    assert "NOTE" not in rendered(case_of("vllm serve m --host 0.0.0.0"))
