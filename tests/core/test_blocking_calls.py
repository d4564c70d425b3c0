"""Blocking calls in the source of tools: which are found, and what is said of them."""

import pytest

from agentflow.contracts.tools import Effect, Recovery, ToolContract
from agentflow.core.blocking_calls import lint_blocking_calls


def contract(recovery: Recovery = "probe", effect: Effect = "write") -> ToolContract:
    return ToolContract(
        name="pay", description="Pay.", input_schema={}, output_schema={}, effect=effect, recovery=recovery
    )


def rules(imports: str, body: str, **of: str) -> list[str]:
    """The rules that a tool breaks which has this body."""
    lines = "\n".join(f"        {line}" for line in body.splitlines())
    module = f"{imports}\n\nclass Bank:\n    async def pay(self, to):\n{lines}\n"
    return [one.rule for one in lint_blocking_calls(contract(**of), module, ["Bank.pay"])]  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("imports", "body", "found"),
    [
        ("import asyncio", "await asyncio.to_thread(pay, to)", ["unseen-thread"]),
        ("from asyncio import to_thread", "await to_thread(pay, to)", ["unseen-thread"]),
        ("import asyncio as a", "await a.to_thread(pay, to)", ["unseen-thread"]),
        ("", "await self.loop.run_in_executor(None, pay)", ["unseen-thread"]),
        ("import asyncio", "await asyncio.get_running_loop().run_in_executor(None, pay)", ["unseen-thread"]),
        ("import threading", "threading.Thread(target=pay).start()", ["unseen-thread"]),
        ("import asyncio", "await asyncio.create_subprocess_exec('pay')", ["unseen-thread"]),
        ("import requests", "requests.post('u', json={})", ["blocking-call"]),
        ("import requests as r", "x = r.Session().post('u')", ["blocking-call"]),
        ("from requests import post", "return post('u').json()", ["blocking-call"]),
        ("import urllib.request", "urllib.request.urlopen('u')", ["blocking-call"]),
        ("from urllib import request", "request.urlopen('u')", ["blocking-call"]),
        ("import boto3", "boto3.client('s3').put_object()", ["blocking-call"]),
        ("import psycopg2", "psycopg2.connect('')", ["blocking-call"]),
        ("import stripe", "stripe.Refund.create(charge=to)", ["blocking-call"]),
        ("import stripe", "await stripe.Refund.create_async(charge=to)", []),
        ("import subprocess", "subprocess.run(['pay'])", ["blocking-call"]),
        ("import time", "for _ in range(3):\n    time.sleep(1)", ["blocking-call"]),
        ("from time import sleep as nap", "nap(1)", ["blocking-call"]),
        ("import httpx", "httpx.post('u')", ["blocking-call"]),
        ("import httpx", "async with httpx.AsyncClient() as client:\n    await client.post('u')", []),
        ("import asyncio", "await asyncio.sleep(1)", []),
        ("", "requests.post('u')", []),
        ("import requests\nfrom agentflow import run_blocking", "await run_blocking(requests.post, 'u')", []),
        (
            "import agentflow, requests",
            "await agentflow.run_blocking(lambda: requests.post('u'))",
            [],
        ),
        (
            "import requests\nfrom agentflow import run_blocking",
            "def send():\n    return requests.post('u')\nawait run_blocking(send)",
            [],
        ),
        (
            "import requests\nfrom agentflow import run_blocking",
            "await run_blocking(requests.post('u').json)",
            ["blocking-call"],
        ),
        (
            "import requests",
            "def send():\n    return requests.post('u')\nsend()",
            ["blocking-call"],
        ),
    ],
)
def test_what_a_tool_calls_is_found_by_its_name(imports: str, body: str, found: list[str]) -> None:
    assert rules(imports, body) == found


@pytest.mark.parametrize(
    ("of", "found"),
    [
        ({"recovery": "probe"}, ["blocking-call"]),
        ({"recovery": "ask"}, ["blocking-call"]),
        ({"recovery": "key"}, []),
        ({"recovery": "ask", "effect": "read"}, []),
    ],
)
def test_only_writes_that_no_key_keeps_apart_are_looked_at(of: dict[str, str], found: list[str]) -> None:
    assert rules("import time", "time.sleep(1)", **of) == found


def test_a_finding_says_where_and_what_to_do() -> None:
    module = (
        "import time\n\n\nasync def pay(to):\n    time.sleep(1)\n\n\nasync def find(to):\n    time.sleep(2)\n"
    )
    own, probe = lint_blocking_calls(contract(), module, ["pay", "find"])
    assert (own.tool, own.place, probe.place) == ("pay", "pay, line 5", "find, line 9")
    assert "agentflow.run_blocking" in own.advice


def test_what_cannot_be_parsed_has_no_findings() -> None:
    assert lint_blocking_calls(contract(), "async def pay(:", ["pay"]) == ()
