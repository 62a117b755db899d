"""The Python door to real vLLM, with both of OpenAI's clients."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ci.door import serve

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_a_program_asks_a_served_model(
    request: pytest.FixtureRequest, vllm: str, given_back: None, tmp_path: Path
):
    device = request.config.getoption("--device")

    async def chat() -> str | None:
        async with server.async_client() as client:
            answer = await client.chat.completions.create(
                model=server.model, messages=[{"role": "user", "content": "Say hello."}]
            )
            return answer.choices[0].message.content

    with serve("local.yaml", vllm=vllm, device=device, runs=tmp_path) as server:
        completion = server.client().completions.create(
            model=server.model, prompt="1, 2, 3, 4,", max_tokens=4, temperature=0
        )
        assert "5" in completion.choices[0].text
        assert asyncio.run(chat())
