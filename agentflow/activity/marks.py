"""What the schemas of a brief mark as personal, and the same schemas as models see them."""

import json
from collections.abc import Iterator

from agentflow.contracts.model import Brief, ModelAnswer, ToolOffer
from agentflow.contracts.wire import Json, Sha256
from agentflow.core.tags import TagFinder, Tagged, without_tags

MAX_KEPT = 256
"""Briefs of a worker whose marks are at hand: one for each agent and model, and each kind of answer."""


class BriefMarks:
    """The marks of one brief."""

    def __init__(self, brief: Brief) -> None:
        self._arguments = {offer.name: TagFinder(offer.input_schema) for offer in brief.tools}
        self._answer = TagFinder(brief.output_schema)
        self.tools: tuple[ToolOffer, ...] = tuple(self._unmarked(offer) for offer in brief.tools)
        """The tools without the marks, which some models refuse."""
        self.output_schema: dict[str, Json] | None = (
            without_tags(brief.output_schema) if self._answer.has_tags else brief.output_schema
        )
        """The form of the answer without them."""

    def _unmarked(self, offer: ToolOffer) -> ToolOffer:
        if not self._arguments[offer.name].has_tags:
            return offer
        return offer.model_copy(update={"input_schema": without_tags(offer.input_schema)})

    def in_answer(self, answer: ModelAnswer) -> Iterator[Tagged]:
        """What is marked in an answer that the run has not seen yet."""
        for call in answer.message.tool_calls:
            if finder := self._arguments.get(call.tool):
                yield from finder.find(call.arguments)
        if self._answer.has_tags and answer.message.text:
            try:
                yield from self._answer.find(json.loads(answer.message.text))
            except ValueError:
                # Nobody can tell what in it is marked.
                yield Tagged("answer", answer.message.text, ())


class MarksOfBriefs:
    """The marks of the briefs that a worker is sent: the same ones call after call."""

    def __init__(self) -> None:
        self._kept: dict[Sha256, BriefMarks] = {}

    def of(self, name: Sha256, brief: Brief) -> BriefMarks:
        """The marks of the brief of that name."""
        found = self._kept.get(name)
        if found is None:
            if len(self._kept) >= MAX_KEPT:
                self._kept.clear()
            found = self._kept[name] = BriefMarks(brief)
        return found
