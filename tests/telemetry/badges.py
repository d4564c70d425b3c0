"""Presidio without a model of language, for the tests."""

from collections.abc import Iterable
from typing import Any

from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer
from presidio_analyzer.nlp_engine import NlpArtifacts, NlpEngine

from agentflow.adapters.presidio import Presidio


class NoModel(NlpEngine):
    """An engine that knows nothing of language: only Presidio's own patterns are left."""

    def load(self) -> None: ...
    def is_loaded(self) -> bool:
        return True

    def process_text(self, text: str, language: str) -> NlpArtifacts:
        return NlpArtifacts([], [], [], [], self, language)  # type: ignore[arg-type]

    def process_batch(self, texts: Iterable[Any], language: str, **more: Any) -> Any:
        return [(text, self.process_text(text, language)) for text in texts]

    def is_stopword(self, word: str, language: str) -> bool:
        return False

    def is_punct(self, word: str, language: str) -> bool:
        return False

    def get_supported_entities(self) -> list[str]:
        return []

    def get_supported_languages(self) -> list[str]:
        return ["en"]


def badges_and_addresses() -> Presidio:
    """Finds badges by a pattern of our own, and addresses by one of Presidio's."""
    engine = AnalyzerEngine(nlp_engine=NoModel(), supported_languages=["en"])
    badge = PatternRecognizer("BADGE", name="badges", patterns=[Pattern("badge", r"\bB-\d{4}\b", 0.9)])
    engine.registry.add_recognizer(badge)
    return Presidio(engine, entities=["BADGE", "IP_ADDRESS"])
