"""What of a run may be seen outside of it: in details, memo, logs. Pure, so that a replay sees the same."""

from collections.abc import Mapping
from typing import Any

from pydantic_core import to_jsonable_python

from agentflow.contracts.approval import ApprovalRequest
from agentflow.contracts.escalation import Escalation
from agentflow.contracts.identity import RefusedAttempt
from agentflow.contracts.wire import Json
from agentflow.core.approver_page import sentence_of
from agentflow.core.known_values import KnownValues
from agentflow.core.redaction import PATTERNS, map_texts, redacted
from agentflow.core.tags import TagFinder
from agentflow.workflow.definition import AgentDefinition


class RunRedaction:
    """The marked values of one run, and how its texts look without them."""

    def __init__(self, definition: AgentDefinition[Any]) -> None:
        self.adopt(definition)
        self.known: KnownValues = KnownValues()
        """The marked values that the run has seen."""
        self.finds_patterns: bool = False
        """Whether cards, IBANs and the like are taken out as well: the run's worker has a redactor."""

    def adopt(self, definition: AgentDefinition[Any]) -> None:
        """Know what the types of an agent mark."""
        self._tags = definition.tags
        self._contracts = definition.catalog.contracts
        self._has_marks = definition.tags.are_any

    def of_task(self, task_input: Json) -> None:
        """Know what the task's input marks."""
        self._learn(self._tags.task, task_input)

    def of_arguments(self, tool: str, arguments: Mapping[str, Json]) -> None:
        """Know what a tool's arguments mark."""
        if finder := self._tags.arguments.get(tool):
            self._learn(finder, dict(arguments))

    def of_output(self, tool: str, output: Json) -> None:
        """Know what a tool's output marks."""
        if finder := self._tags.outputs.get(tool):
            self._learn(finder, output)

    def of_answer(self, answer: object) -> None:
        """Know what the answer marks."""
        if self._tags.answer.has_tags:
            self._learn(self._tags.answer, to_jsonable_python(answer))

    def _learn(self, finder: TagFinder, value: Json) -> None:
        if finder.has_tags:
            self.known = self.known.plus(finder.find(value))

    def text(self, text: str) -> str:
        """A text as it may be seen."""
        if not self._is_needed:
            return text
        return redacted(text, (self.known.find, *(PATTERNS if self.finds_patterns else ())))

    def json(self, value: Json) -> Json:
        """A JSON value as it may be seen."""
        return map_texts(value, self.text) if self._is_needed else value

    def request(self, request: ApprovalRequest) -> ApprovalRequest:
        """A pending action as it may be seen. Its hash is of the arguments as they are."""
        if not self._is_needed:
            return request
        arguments = self._arguments(request.tool, request.arguments)
        same = {name for name, value in arguments.items() if value == request.arguments.get(name)}
        sentence = request.sentence
        if arguments != request.arguments:
            # Made anew: a value may be cut in two in it, or be too short to be found.
            sentence = sentence_of(request.tool, self._contracts.get(request.tool), arguments)
        untrusted = tuple(
            # A part of a value that was changed may be too short to be found.
            one.model_copy(update={"value": self.text(one.value) if one.argument in same else ""})
            for one in request.untrusted
        )
        told: dict[str, object] = {
            "arguments": arguments,
            "untrusted": untrusted,
            "reason": self.text(request.reason),
            "sentence": self.text(sentence),
            "requested_by": self.text(request.requested_by),
            "refused": tuple(self._attempt(attempt) for attempt in request.refused),
        }
        return request.model_copy(update=told)

    def escalation(self, escalation: Escalation | None) -> Escalation | None:
        """An escalation as it may be seen."""
        if escalation is None or not self._is_needed:
            return escalation
        effect = escalation.effect
        if effect is not None:
            arguments = self._arguments(effect.tool, effect.arguments)
            told = {"arguments": arguments, "detail": self.text(effect.detail)}
            effect = effect.model_copy(update=told)
        told = {
            "reason": self.text(escalation.reason),
            "effect": effect,
            "requested_by": self.text(escalation.requested_by),
            "words": tuple(
                word.model_copy(update={"text": self.text(word.text), "result": self.json(word.result)})
                for word in escalation.words
            ),
            "refused": tuple(self._attempt(attempt) for attempt in escalation.refused),
        }
        return escalation.model_copy(update=told)

    def _attempt(self, attempt: RefusedAttempt) -> RefusedAttempt:
        told = {"by": self.text(attempt.by), "reason": self.text(attempt.reason)}
        return attempt.model_copy(update=told)

    def _arguments(self, tool: str, arguments: dict[str, Json]) -> dict[str, Json]:
        finder = self._tags.arguments.get(tool)
        return self.json(finder.masked(arguments) if finder else arguments)

    @property
    def _is_needed(self) -> bool:
        return self._has_marks or self.finds_patterns
