"""The frame of each command."""

import asyncio
import signal
from contextlib import suppress

import pytest
from temporalio.service import RPCError, RPCStatusCode

from agentflow.cli.connection import Connection
from agentflow.cli.output import Output
from agentflow.cli.session import Session


def test_ctrl_c_is_an_interrupt_whatever_a_call_makes_of_it() -> None:
    async def call() -> None:
        signal.raise_signal(signal.SIGINT)
        try:
            await asyncio.sleep(30)
        except asyncio.CancelledError:
            raise RPCError("cancelled", RPCStatusCode.CANCELLED, b"") from None

    with asyncio.Runner() as runner, pytest.raises(KeyboardInterrupt):
        Session(Output(as_json=False), Connection(), runner).run(call())


def test_ctrl_c_ends_a_command_that_takes_it_for_the_failure_of_one_call() -> None:
    async def answers() -> str:
        signal.raise_signal(signal.SIGINT)
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(30)
        return "no answer from the run"

    with asyncio.Runner() as runner, pytest.raises(KeyboardInterrupt):
        Session(Output(as_json=False), Connection(), runner).run(answers())
