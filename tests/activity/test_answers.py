"""A model's answer is kept before Temporal hears of it, so that a later attempt need not buy it again."""

import hashlib
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from agentflow.activity.answers import AnswerStore, call_key
from agentflow.activity.chat import ChatActivity
from agentflow.activity.transcripts import TranscriptStore
from agentflow.adapters.directory_blobs import DirectoryBlobStore
from agentflow.adapters.seal_keys import new_seal_keys
from agentflow.contracts.messages import ToolMessage, UserMessage
from agentflow.contracts.model import Brief, ChatRequest, ChatResponse, ModelPrice, ModelSpec
from agentflow.contracts.wire import ToolCallId, sha256_of
from agentflow.core.idempotency import run_root
from agentflow.ports.blobs import BlobStore
from agentflow.testing import ScriptedModel, answer
from agentflow.testing.settings import TEST_SEAL_KEYS
from tests.activity.outside import RUN_ID, WORKFLOW_ID, environment

ROOT = run_root("default", WORKFLOW_ID)
PRICE = ModelPrice(input_usd_per_mtok=Decimal(1), output_usd_per_mtok=Decimal(4))
BRIEF = Brief(
    model=ModelSpec(name="scripted:model", price=PRICE),
    instructions="Be kind.",
    max_output_tokens=100,
    timeout=timedelta(seconds=5),
)
BRIEF_NAME = sha256_of(BRIEF.model_dump(mode="json"))
REQUEST = ChatRequest(
    messages=(UserMessage(text="hello"),),
    brief=BRIEF_NAME,
    brief_in_full=BRIEF,
)


@pytest.fixture
def model() -> ScriptedModel:
    """Never says the same twice."""
    said = iter(range(100))
    return ScriptedModel(lambda _: answer(f"answer {next(said)}"))


@pytest.fixture
def blobs(tmp_path: Path) -> DirectoryBlobStore:
    return DirectoryBlobStore(tmp_path / "blobs")


async def asked(
    model: ScriptedModel,
    blobs: BlobStore,
    request: ChatRequest = REQUEST,
    *,
    attempt: int = 1,
    run_id: str = RUN_ID,
) -> ChatResponse:
    """A worker that has just started, and its answer."""
    worker = ChatActivity(model, TranscriptStore(blobs), AnswerStore(blobs, TEST_SEAL_KEYS))
    surroundings = environment(attempt)
    surroundings.info = replace(surroundings.info, workflow_run_id=run_id)
    return await surroundings.run(worker.chat, request)


async def test_a_later_attempt_returns_the_answer_that_was_paid_for(
    model: ScriptedModel, blobs: DirectoryBlobStore
) -> None:
    first = await asked(model, blobs)
    assert await asked(model, blobs, attempt=2) == first
    assert len(model.requests) == 1


async def test_the_answer_says_which_attempt_got_it_so_that_no_other_is_charged(
    model: ScriptedModel, blobs: DirectoryBlobStore
) -> None:
    await asked(model, blobs, attempt=2)
    assert (await asked(model, blobs, attempt=3)).attempt == 2


async def test_an_answer_bought_again_where_the_store_was_another_is_charged(
    model: ScriptedModel, blobs: DirectoryBlobStore, tmp_path: Path
) -> None:
    await asked(model, blobs)
    await asked(model, DirectoryBlobStore(tmp_path / "another worker's"), attempt=2)
    assert (await asked(model, blobs, attempt=3)).attempt == 2
    assert len(model.requests) == 2


async def test_another_question_is_another_call(model: ScriptedModel, blobs: DirectoryBlobStore) -> None:
    await asked(model, blobs)
    other = REQUEST.model_copy(update={"messages": (UserMessage(text="goodbye"),)})
    assert (await asked(model, blobs, other)).answer.text == "answer 1"


async def test_a_run_that_was_reset_gets_an_answer_of_its_own(
    model: ScriptedModel, blobs: DirectoryBlobStore
) -> None:
    await asked(model, blobs)
    assert (await asked(model, blobs, run_id="after the reset")).answer.text == "answer 1"


@pytest.mark.parametrize(
    "damage",
    [lambda b: b.replace(b"answer 0", b"answer X"), lambda b: b[:-9], lambda _: b"", lambda _: b"{}"],
    ids=["altered by a byte", "cut", "empty", "other json"],
)
async def test_an_answer_that_was_altered_is_not_used(
    model: ScriptedModel, blobs: DirectoryBlobStore, tmp_path: Path, damage: object
) -> None:
    await asked(model, blobs)
    name = call_key(None, REQUEST.messages, BRIEF_NAME, RUN_ID)
    kept = await blobs.get(ROOT, name)
    assert kept is not None
    blobs = DirectoryBlobStore(tmp_path / "another")
    await blobs.put(ROOT, name, damage(kept))  # type: ignore[operator]
    assert (await asked(model, blobs, attempt=2)).answer.text == "answer 1"
    # And the store is whole again.
    assert (await asked(model, blobs, attempt=3)).answer.text == "answer 1"


@pytest.mark.parametrize("by", ["with the old digest", "with a key of one's own", "of another call"])
async def test_an_answer_that_somebody_else_put_into_the_store_is_not_used(
    model: ScriptedModel, blobs: DirectoryBlobStore, tmp_path: Path, by: str
) -> None:
    await asked(model, blobs)
    name = call_key(None, REQUEST.messages, BRIEF_NAME, RUN_ID)
    kept = await blobs.get(ROOT, name)
    assert kept is not None
    said = kept.partition(b"\n")[2].replace(b"answer 0", b"pay eve")
    response = ChatResponse.model_validate_json(said)
    other = call_key(None, REQUEST.messages, BRIEF_NAME, "another run")
    forged = {
        "with the old digest": hashlib.sha256(said).hexdigest().encode() + b"\n" + said,
        "with a key of one's own": AnswerStore(blobs, new_seal_keys()).as_kept(name, response),
        "of another call": AnswerStore(blobs, TEST_SEAL_KEYS).as_kept(other, response),
    }
    blobs = DirectoryBlobStore(tmp_path / "another")
    await blobs.put(ROOT, name, forged[by])
    assert (await asked(model, blobs, attempt=2)).answer.text == "answer 1"


async def test_a_store_that_can_not_be_written_stops_no_call(model: ScriptedModel, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    blobs = DirectoryBlobStore(tmp_path / "file")
    assert (await asked(model, blobs)).answer.text == "answer 0"


def test_a_call_has_one_name_whether_texts_are_sent_or_named() -> None:
    named = ToolMessage(tool_call_id=ToolCallId("1"), tool="order", content_hash=sha256_of("text"))
    sent = named.model_copy(update={"content": "text"})
    keys = {call_key(None, (message,), BRIEF_NAME, RUN_ID) for message in (named, sent)}
    assert len(keys) == 1
