"""Test `kv_pool` of an `external_dp` file: the process, the files, the servers' variables."""

import json

import pytest
from plans import site_of

from ci.case.external_dp import reader as external_dp
from ci.documents import source
from ci.errors import CaseError
from ci.plan.build import build

HEAD = """\
model: m
num_nodes: 2
npu_per_node: 2
routing:
  type: disaggregated_prefill
  groups: {prefiller: [0], decoder: [1]}
config:
  - {port_start: 7100, dp_rpc_port: 7000, dp_address: "${LOCAL_IP}", dp_size: 2, dp_size_local: 2}
  - {port_start: 7100, dp_rpc_port: 7000, dp_address: "${LOCAL_IP}"}
templates:
  - envs: {DEVICES: "${VISIBLE_DEVICES}"}
    server_cmd_template: &words
      - --port=${PORT}
      - -dp=${DP_SIZE}
      - -dpn=${DP_RANK}
      - -dpa=${DP_ADDRESS}
      - -dpp=${DP_RPC_PORT}
  - envs: {}
    server_cmd_template: *words
kv_pool:
"""
MOONCAKE = """\
  type: Mooncake
  master_port: 50088
  metrics_port: 50089
  config: {protocol: ascend, local_hostname: "${LOCAL_IP}", size: 1.5, many: [1, null], flag: true}
"""
MEMCACHE = """\
  type: memcache
  meta_service_port: 5000
  config_store_port: "6000"
  config:
    meta: {ock.mmc.log_level: error, first: "${LOCAL_IP}"}
    local: {ock.mmc.log_level: info, flag: true, world: 256, own: "${LOCAL_IP}"}
"""


def case_of(pool):
    return external_dp.read(source.read((HEAD + pool).encode(), "c.yaml"))


def plan_of(pool):
    return build(case_of(pool), site_of("ab"))


def test_mooncake():
    plan = plan_of(MOONCAKE)
    (master,) = plan.services
    assert (master.host, master.ports) == ("a", (50088,))
    assert master.argv[:5] == ("mooncake_master", "--port", "50088", "--metrics_port", "50089")
    given = dict(zip(master.argv[1::2], master.argv[2::2], strict=True))
    assert given["--eviction_high_watermark_ratio"] == "0.9"
    assert given["--eviction_ratio"] == "0.1"
    assert given["--default_kv_lease_ttl"] == "11000"
    assert master.env["LD_LIBRARY_PATH"].endswith("/site-packages:$LD_LIBRARY_PATH")
    for process in plan.servers:
        folder = process.env["MOONCAKE_CONFIG_PATH"].removesuffix("/mooncake.json")
        assert folder.endswith(process.name)
        assert process.env["MOONCAKE_MASTER"] == "10.0.0.1:50088"
        assert json.loads(process.files["mooncake.json"]) == {
            "protocol": "ascend",
            "local_hostname": f"10.0.0.{process.node + 1}",
            "size": 1.5,
            "many": [1, None],
            "flag": True,
            "master_server_address": "10.0.0.1:50088",
        }


def test_memcache():
    plan = plan_of(MEMCACHE)
    (meta,) = plan.services
    assert (meta.host, meta.ports) == ("a", (5000, 6000))
    assert meta.argv[1] == "-c"
    assert "MetaService.main()" in meta.argv[2]
    assert meta.env["MMC_META_CONFIG_PATH"].endswith(f"/{meta.name}/mmc-meta.conf")
    assert meta.files == {
        "mmc-meta.conf": "ock.mmc.log_level = error\n"
        "first = 10.0.0.1\n"
        "ock.mmc.meta_service_url = tcp://10.0.0.1:5000\n"
        "ock.mmc.meta_service.config_store_url = tcp://10.0.0.1:6000\n"
    }
    decoder = plan.servers[-1]
    assert decoder.env["MMC_LOCAL_CONFIG_PATH"].endswith(f"/{decoder.name}/mmc-local.conf")
    assert decoder.files == {
        "mmc-local.conf": "ock.mmc.log_level = info\n"
        "flag = true\n"
        "world = 256\n"
        "own = 10.0.0.2\n"
        "ock.mmc.meta_service_url = tcp://10.0.0.1:5000\n"
        "ock.mmc.local_service.config_store_url = tcp://10.0.0.1:6000\n"
    }


WRONG = {
    "type": (MOONCAKE, "Mooncake", "moon_cake", "kv_pool.type: expected 'mooncake' or 'memcache'"),
    "no port": (MOONCAKE, "  master_port: 50088\n", "", "kv_pool.master_port: missing; mooncake"),
    "range": (MOONCAKE, "50088", "70000", "kv_pool.master_port: 70000 is out of range"),
    "same": (MOONCAKE, "50089", "50088", "kv_pool.metrics_port: 50088 is also master_port"),
    "a rank's": (MOONCAKE, "50088", "7101", "include 7101, which is used by kv_pool.master_port"),
    "rpc": (MOONCAKE, "50089", "7000", "7000 is used by kv_pool.metrics_port on host 0"),
    "the router's": (MEMCACHE, "5000", "1999", "meta_service_port: 1999 is the router's port"),
    "of the other": (
        MOONCAKE,
        "master_port: 50088",
        "master_port: 1\n  config_store_port: 2",
        "kv_pool.config_store_port: mooncake has no such port",
    ),
    "misspelt": (MEMCACHE, "meta_service", "meta_servise", "did you mean 'meta_service_port'?"),
    "no config": (MOONCAKE, MOONCAKE[MOONCAKE.index("  config") :], "", "kv_pool.config: missing"),
    "one side": (MEMCACHE, "    meta:", "    mata:", "kv_pool.config.meta: expected a mapping"),
    "stranger": (MEMCACHE, "    meta:", "    mata:", "kv_pool.config.mata: unknown key"),
    "nested": (MEMCACHE, "256", "[256]", "kv_pool.config.local.world: expected text or a number"),
    "lines": (MEMCACHE, "256", '"2\\n5"', "kv_pool.config.local.world: expected one line"),
    "date": (MOONCAKE, "ascend", "2026-01-01", "kv_pool.config.protocol: expected text or a"),
    "no figure": (MOONCAKE, "1.5", ".nan", "kv_pool.config.size: expected text or a number"),
    "variable": (MOONCAKE, "LOCAL_IP", "LOCAL_PI", "local_hostname: unknown variable $LOCAL_PI"),
}


@pytest.mark.parametrize("name", WRONG)
def test_invalid(name):
    pool, old, new, message = WRONG[name]
    assert old in pool
    with pytest.raises(CaseError) as caught:
        case_of(pool.replace(old, new, 1))
    assert message in str(caught.value)
    assert all(problem.line > 1 for problem in caught.value.problems)
