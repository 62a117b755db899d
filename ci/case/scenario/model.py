"""Define the keys and types of a scenario file. Pure.

The last keys are this project's additions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from ci.case.benchmark import Entry
from ci.case.command_line import Arguments
from ci.case.model import Device
from ci.documents.strict import Strict
from ci.documents.values import BenchmarkName, Env, Host, Index, Port, Tag, Version, shaped

Mode = Literal["local", "k8s-hybrid", "k8s-pd"]
# As in vllm-cibench, where a scenario says nothing.
READY_S = 1200.0
PREFILL_DECODE: Mode = "k8s-pd"
_ID = shaped(r"[\w][\w.+-]{0,149}", "cannot name a scenario; use letters, digits, '-', '_' and '.'")


class Features(Strict):
    """`features`: what the service is said to do."""

    guided_decoding: bool = Field(default=False, description="answers in a given JSON schema")
    function_call: bool = Field(default=False, description="calls tools")
    reasoning: bool = Field(default=False, description="separates its reasoning from the answer")


class Kubernetes(Strict):
    """`k8s`: where the service is in Kubernetes."""

    namespace: str | None = None
    service_name: str | None = None
    port_name: str | None = None
    node_port: Port | None = Field(default=None, description="port of the API")


class PrefillDecode(Strict):
    """`pd`: arguments of the servers for prefill and for decode."""

    scheduler_params: Arguments = ""
    prefill_params: Arguments = ""
    decode_params: Arguments = ""


class Scenario(Strict):
    """A scenario file."""

    id: Annotated[str, _ID] = Field(description="it names the scenario")
    mode: Mode = Field(description="it is local, k8s-hybrid or k8s-pd: one server, or several")
    model: str = Field(min_length=1, description="it is the model that the servers serve")
    served_model_name: str = Field(min_length=1, description="it is the model's name in requests")
    quant: str = Field(default="", description="quantization of the weights")
    features: Features = Field(default=Features(), description="what the service is said to do")
    base_url: str | None = Field(default=None, description="address of the API; its port is used")
    k8s: Kubernetes | None = Field(default=None, description="where the service is in Kubernetes")
    pd: PrefillDecode | None = Field(
        default=None, description="arguments of the servers for prefill and for decode"
    )
    startup_timeout_seconds: float = Field(
        default=READY_S, gt=0, description="maximum time until the servers answer, in seconds"
    )
    env: Env = Field(default={}, description="environment variables of all servers")
    args: dict[str, Any] = Field(
        default={}, description="arguments of all servers: name, with `_` or `-`, → value"
    )
    k8s_delete_yaml: str | None = Field(
        default=None, description="manifest whose objects are deleted at the end"
    )
    vllm: Version | None = Field(default=None, description="vLLM version to install and use")
    device: Device | None = Field(default=None, description="kind of device of the hosts")
    npu_per_node: Index | None = Field(
        default=None, description="devices per host; default: those that its servers need"
    )
    cluster_hosts: list[Host] | None = Field(default=None, description="the hosts, one per server")
    functional: str | None = Field(
        default=None, min_length=1, description="functional suite of its nights"
    )
    tags: list[Tag] | None = Field(default=None, description="words by which a suite chooses cases")
    benchmarks: dict[BenchmarkName, Entry] | None = Field(
        default=None, description="name → benchmark, as in a case"
    )


SECTIONS: dict[str, type[Strict]] = {
    "": Scenario,
    "features": Features,
    "k8s": Kubernetes,
    "pd": PrefillDecode,
    "benchmarks": Entry,
}
