"""What `test_content` of a `single_node` case asks of real vLLM."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hosts_here import held_port
from packaging.version import Version

if TYPE_CHECKING:
    from collections.abc import Callable

    from night import Night

CASE = """\
test_cases:
  - name: content
    model: SmolLM2-135M-Instruct
    ready_timeout_s: 1800
    envs:
      SERVER_PORT: {port}
      HF_HUB_OFFLINE: 1
      VLLM_NO_USAGE_STATS: 1
      VLLM_CPU_KVCACHE_SPACE: 1
      VLLM_CPU_OMP_THREADS_BIND: nobind
      OMP_NUM_THREADS: 1
    server_cmd: >-
      vllm serve $MODEL --served-model-name smollm2 --host 127.0.0.1 --port $SERVER_PORT
      --max-model-len 1024 --enforce-eager
    test_content: [completion, chat_completion, {messages}check_rank0_process_count]
    prompts: ["Hello!", "Count to 5."]
    api_keyword_args:
      max_tokens: 16
      temperature: 0
    expected_response: {{completion_tokens: 8, min_length: 1}}
"""


# vLLM has the Messages API since then.
SINCE = Version("0.11.1")


def test_chats_messages_and_processes(vllm: str, start: Callable[[str, str], Night]):
    has_messages = Version(vllm) >= SINCE
    with held_port() as port:
        case = CASE.format(port=port, messages="messages, " if has_messages else "")
    night = start(case, "--local")
    assert night.finish() == 0
    assert {check["name"]: check["outcome"] for check in night.record["checks"]} == dict.fromkeys(
        [
            *("smoke completion", "smoke completion 1", "smoke chat"),
            *("chat_completion", "chat_completion 1"),
            *(("messages", "messages 1") if has_messages else ()),
            "check_rank0_process_count",
        ],
        "pass",
    )
