"""Test the output of `inv plan`: many ranks, commands to paste, the part of one host."""

from __future__ import annotations

import os
import subprocess
from dataclasses import replace

import pytest
from plans import site_of

from ci.case.load import parse
from ci.errors import UserError
from ci.inventory.target import Target
from ci.plan.build import build
from ci.report.plan import paste
from ci.report.plan.picture import WIDTH
from ci.report.plan.rows import spans
from ci.report.plan.text import as_text, as_values
from ci.tools.model import Dataset

MEMBER = (
    "{dp_size: 32, dp_size_local: 16, dp_rank_start: %d, port_start: 7100, tp_size: 1, "
    "dp_rpc_port: 12321, dp_address: '${NODE_%d_IP}'}"
)
TEMPLATE = """
  - envs: {ASCEND_RT_VISIBLE_DEVICES: "${VISIBLE_DEVICES}", API_KEY: hush-hush}
    server_cmd_template: [--port, "${PORT}", --data-parallel-size, "${DP_SIZE}",
      --data-parallel-rank, "${DP_RANK}", --data-parallel-address, "${DP_ADDRESS}",
      --data-parallel-rpc-port, "${DP_RPC_PORT}", --tensor-parallel-size, "${TP_SIZE}",
      --kv-transfer-config, '{"kv_connector": "MooncakeConnectorV1", "kv_role": "%s"}']"""
RANKS = f"""\
test_name: sixty-four ranks
model: m
num_nodes: 4
npu_per_node: 16
routing:
  type: disaggregated_prefill
  groups: {{prefiller: [0, 1], decoder: [2, 3]}}
config:
{"".join(f"  - {MEMBER % at}" + chr(10) for at in ((0, 0), (16, 0), (0, 2), (16, 2)))}templates:\
{"".join(TEMPLATE % f"kv_{role}" for role in ("producer", "producer", "consumer", "consumer"))}
benchmarks:
  acc: {{case_type: accuracy, dataset_path: d, num_prompts: 8, max_out_len: 4, batch_size: 2,
        baseline: 50, threshold: 5}}
"""


def plan_of(text=RANKS, workspace="/w", hosts=4):
    (case,) = parse(text.encode(), "c.yaml")
    dataset = Dataset("d", "/data/d", "gsm8k", 40)
    return build(
        case,
        site_of(
            hosts, workspace=workspace, datasets={item.name: dataset for item in case.benchmarks}
        ),
    )


def picture_of(plan, host=""):
    return as_text(plan, host).partition("\n\nThe steps")[0].splitlines()


def test_sixty_four_ranks_are_one_line_per_host():
    lines = picture_of(plan_of())
    assert len(lines) < 40
    assert max(map(len, lines)) <= WIDTH
    text = "\n".join(lines)
    assert (
        "prefill  node-1-rank-0…15  :7100-7115  devices 0-15, data-parallel ranks 16-31 of 32"
        in text
    )
    assert "router              → decode node-3-rank-0…15 10.0.0.4:7100-7115  (requests)" in text
    assert (
        "all prefill servers → all decode servers  (key-value cache, MooncakeConnectorV1)" in text
    )
    assert "node-2-rank-1…15    → n2 10.0.0.3:" in text


def test_every_rank_has_its_command():
    text = as_text(plan_of())
    assert text.count("\nvllm serve m \\\n") == 64
    assert "hush-hush" not in text
    assert text.count("export ASCEND_RT_VISIBLE_DEVICES=15\n") == 4


def test_the_steps_are_in_order():
    titles = [line for line in as_text(plan_of()).splitlines() if line.startswith("# ")]
    numbered = [line for line in titles if line[2].isdecimal()]
    assert [line.split(".")[0] for line in numbered] == [f"# {at + 1}" for at in range(68)]
    assert [line.partition(" ")[2].partition(". ")[2][:18] for line in numbered[63:]] == [
        *("On n3, start node-", "On n0, start route", "Await readiness: e", "On this machine, c"),
        "On n0, acc with ai",
    ]


@pytest.mark.parametrize("host", ["n2", "2"])
def test_the_part_of_a_host(host):
    plan = plan_of()
    text = as_text(plan, host)
    assert text.count("\nvllm serve") == 16
    assert "# 33. On n2, start node-2-rank-0 (decode" in text
    assert "On n1" not in text
    assert "acc with" not in text
    picture = "\n".join(picture_of(plan, host))
    assert "  node 2     n2: 10.0.0.3 (eth0)" in picture
    assert "  node 3     " not in picture
    assert "node-3-rank-0…15    → n2 10.0.0.3:12321  (data-parallel head)" in picture
    assert "10.0.0.4" not in picture
    values = as_values(plan, host)
    assert {process["host"] for process in values["processes"]} == {"n2"}
    assert (values["router"], values["benchmarks"], len(values["hosts"])) == (None, [], 1)


def test_the_part_of_the_leader_has_the_router_and_the_evaluations():
    values = as_values(plan_of(), "0")
    assert values["router"]["host"] == "n0"
    assert [item["name"] for item in values["benchmarks"]] == ["acc"]
    assert set(values["benchmarks"][0]["files"]) > {"config/run.py"}


@pytest.mark.parametrize(
    ("host", "words"),
    [
        ("N1", "did you mean 'n1'"),
        ("n9", "no such host; There are"),
        ("4", "There are: 0 n0, 1 n1"),
    ],
)
def test_an_unknown_host_is_refused(host, words):
    with pytest.raises(UserError, match=f"--host {host}: the plan has no such host"):
        as_text(plan_of(), host)
    with pytest.raises(UserError, match=words):
        as_values(plan_of(), host)


@pytest.mark.parametrize(
    ("numbers", "text"),
    [([], ""), ([3], "3"), ([2, 1], "1-2"), ([0, 1, 2, 5, 7, 8], "0-2, 5, 7-8"), ([1, 1], "1")],
)
def test_spans(numbers, text):
    assert spans(numbers) == text


@pytest.mark.parametrize(
    ("word", "means"),
    [
        ("plain", "plain"),
        ("", ""),
        ("two words", "two words"),
        ('{"a": "$b"}', '{"a": "$b"}'),
        ("it's `x` \\ $(y)", "it's `x` \\ $(y)"),
        ("~/x y", "/home/me/x y"),
        ('{"path": "~/x"}', '{"path": "/home/me/x"}'),
        ("a:~/x", "a:/home/me/x"),
        ("x~/y", "x~/y"),
        ("/opt:$LD_LIBRARY_PATH", "/opt:/lib"),
        ('"${LD_LIBRARY_PATH}" $OTHER', '"/lib" $OTHER'),
        ("$HOMES $HOME", "$HOMES /home/me"),
        ("two\nlines", "two\nlines"),
    ],
)
def test_a_quoted_word_has_the_same_value_in_a_shell_as_on_the_host(word, means):
    env = {"HOME": "/home/me", "LD_LIBRARY_PATH": "/lib", "PATH": os.environ["PATH"]}
    result = subprocess.run(
        ["bash", "-c", f"printf %s {paste.quoted(word)}"], env=env, capture_output=True, check=True
    )
    assert result.stdout.decode() == means


def test_files_and_a_command_can_be_pasted(tmp_path):
    files = {"a/one": "1\n", "a/two": "it's $HOME\n`x`\nEND_OF_FILE\nexit 1\n", "three": ""}
    argv = ["printenv", "WITH SPACE", "VLLM-ODD", "PLAIN"]
    env = {"PLAIN": "p q", "VLLM-ODD": "o'o"}
    lines = [*paste.files(str(tmp_path / "new"), files), *paste.command(env, argv[:1] + argv[2:])]
    result = subprocess.run(
        ["bash", "-e"], input="\n".join(lines).encode(), capture_output=True, check=True
    )
    assert result.stdout.decode() == "o'o\np q\n"
    assert (tmp_path / "new/a/two").read_text("utf-8") == files["a/two"]
    assert (tmp_path / "new/three").read_text("utf-8") == "\n"


def test_a_file_that_names_a_folder_at_home_has_the_host_s_home(tmp_path):
    files = {"conf.py": "path = '~/w/data'  # `x` $Y\n", "other.py": "expanduser('x/~/y')\n"}
    lines = list(paste.files("~/new", files))
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run(["bash", "-e"], input="\n".join(lines).encode(), env=env, check=True)
    assert (tmp_path / "new/conf.py").read_text() == f"path = '{tmp_path}/w/data'  # `x` $Y\n"
    assert (tmp_path / "new/other.py").read_text() == files["other.py"]


def test_an_interface_that_only_the_host_knows_is_asked_of_it():
    env = {"NIC_NAME": "<interface of n1>", "LOCAL_IP": "127.0.0.1", "A": "<interface of n1>:x"}
    lines = [*paste.command(env, ["printenv", "A", "NIC_NAME"])]
    result = subprocess.run(
        ["bash", "-e"], input="\n".join(lines).encode(), capture_output=True, check=True
    )
    assert result.stdout.decode() == "lo:x\nlo\n"


@pytest.mark.parametrize(
    ("path", "target", "command"),
    [
        ("/data/d", Target("n0", "localhost"), "mkdir -p F && tar -C /data/d -ch . | tar -C F -x"),
        ("/data/d v1.0", Target("n0", "n0"), "tar -C '/data/d v1.0' -ch . | ssh n0 '"),
        ("/data/d.jsonl", Target("n0", "10.0.0.1"), "tar -C /data -ch d.jsonl | ssh 10.0.0.1 '"),
        (
            "/d",
            Target("n0", "a", "me", 2222, "/id", "me@gate", "/known"),
            "tar -C /d -ch . | ssh -i /id -o UserKnownHostsFile=/known -J me@gate -p 2222 me@a '",
        ),
    ],
)
def test_the_command_that_copies_a_dataset_to_its_host(path, target, command):
    plan = plan_of()
    (item,) = plan.evaluations
    plan = replace(plan, evaluations=(replace(item, dataset=replace(item.dataset, path=path)),))
    text = as_text(plan, "", [target])
    folder = "'/w/.lamplighter/<host>/<run>/inputs/acc/data'"
    assert f"\n{command.replace('F', folder) if target.is_local else command}" in text
    assert ("# 67. On this machine, copy what acc needs to n0:\n" in text) != target.is_local


def test_files_that_an_earlier_benchmark_has_are_copied_from_it():
    benchmark = RANKS[RANKS.index("  acc: ") :].replace("acc", "more", 1)
    text = as_text(plan_of(RANKS + benchmark))
    assert text.count("> python/lamplighter_layout.py <<") == 1
    first = "'/w/.lamplighter/<host>/<run>/inputs/acc/work/python/lamplighter_layout.py'"
    assert f"\ncp {first} python/lamplighter_layout.py\n" in text


def test_a_long_command_is_split_before_its_options():
    argv = ["serve", "m", *(word for at in range(20) for word in (f"--option-{at}", str(at)))]
    lines = list(paste.command({}, argv))
    assert lines[:2] == ["serve m \\", "  --option-0 0 \\"]
    assert lines[-1] == "  --option-19 19"


def test_a_command_that_needs_the_dataset_says_so():
    plan = plan_of()
    (item,) = plan.evaluations
    plan = replace(plan, evaluations=(replace(item, argv=()),))
    assert "# Its command is known once the dataset d is here." in as_text(plan)
    assert as_values(plan)["benchmarks"][0]["files"] == {}


def test_services_are_before_the_servers_that_use_them():
    pool = "kv_pool: {type: mooncake, master_port: 50051, metrics_port: 50052, config: {}}\n"
    text = as_text(plan_of(pool + RANKS))
    assert text.index("start mooncake") < text.index("start node-0-rank-0")
    assert " (service; listens on " in text
    assert "(service)" in text.partition("\n\nThe steps")[0]


def test_names_with_a_newline_add_no_command_to_the_steps():
    plan = plan_of(RANKS.replace("sixty-four ranks", '"x\\nrm -rf ~"'))
    (item,) = plan.evaluations
    named = replace(item, dataset=replace(item.dataset, name="d\nrm -rf ~"))
    lines = as_text(replace(plan, evaluations=(named,))).splitlines()
    assert not [line for line in lines if line.startswith("rm ")]
