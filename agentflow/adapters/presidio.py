"""Names, places and more in free text, found with Microsoft's Presidio and a model of yours."""

from collections.abc import Iterable, Sequence
from typing import Any

from agentflow.ports.detectors import Finding


class Presidio:
    """An ``AnalyzerEngine`` as a detector.

    ::

        from presidio_analyzer import AnalyzerEngine

        redactor = Redactor(Presidio(AnalyzerEngine()), timeout=timedelta(seconds=1))

    What it finds depends on the engine's model, and is never all: a name in free text may get through.
    """

    name: str = "presidio"

    def __init__(
        self,
        engine: Any,
        *,
        language: str = "en",
        entities: Sequence[str] | None = None,
        score_threshold: float = 0.4,
    ) -> None:
        """Take an engine.

        Args:
            engine: A ``presidio_analyzer.AnalyzerEngine``, with the recognizers and the model that it has.
            language: Of the texts, in ISO 639.
            entities: Which are looked for, such as ``PERSON``; all by default.
            score_threshold: What it is less sure of counts as nothing.
        """
        self._engine = engine
        self._language = language
        self._entities = list(entities) if entities else None
        self._threshold = score_threshold

    def find(self, text: str) -> Iterable[Finding]:
        """What it recognizes."""
        found = self._engine.analyze(
            text=text, language=self._language, entities=self._entities, score_threshold=self._threshold
        )
        for result in found:
            yield Finding(result.start, result.end, str(result.entity_type).lower())
