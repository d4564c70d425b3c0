"""Which event of its history a signal was: each has its own time, and where that is in doubt it has none."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.arrival import SignalSought
from agentflow.contracts.wire import sha256_of
from agentflow.core.arrival import SignalEvent, as_first_sent, content_of, times_of
from tests.core.samples import DEADLINE

CONTENTS = st.lists(st.tuples(st.sampled_from(["approve", "reject"]), st.sampled_from("abc")), max_size=12)


def events(contents: Sequence[tuple[str, str]], first: int = 10) -> list[SignalEvent]:
    """Signals that came a second after each other."""
    return [
        SignalEvent(first + n, DEADLINE + timedelta(seconds=first + n), name, sha256_of(text))
        for n, (name, text) in enumerate(contents)
    ]


def sought(signals: Sequence[SignalEvent]) -> list[SignalSought]:
    """All of them, as a run hears them."""
    copies, seen = Counter(signal.kind for signal in signals), Counter[tuple[str, str]]()
    found = list[SignalSought]()
    for signal in signals:
        seen[signal.kind] += 1
        nth, of = seen[signal.kind], copies[signal.kind]
        found.append(SignalSought(name=signal.name, content=signal.content, nth=nth, of=of))
    return found


@given(CONTENTS)
def test_each_signal_has_the_time_of_its_own_event_however_often_it_was_sent(
    contents: list[tuple[str, str]],
) -> None:
    signals = events(contents)
    assert times_of(sought(signals), signals) == tuple(signal.at for signal in signals)


@given(CONTENTS.filter(bool), st.data())
def test_where_history_has_another_number_of_copies_none_of_them_has_a_time(
    contents: list[tuple[str, str]], data: st.DataObject
) -> None:
    signals = events(contents)
    odd = data.draw(st.sampled_from(signals))
    others = [signal for signal in signals if signal.kind != odd.kind]
    expected = {signal.id: signal.at for signal in others}
    for history in ([one for one in signals if one != odd], [*signals, odd]):
        found = times_of(sought(signals), history)
        assert list(found) == [expected.get(signal.id) for signal in signals]


@given(CONTENTS, CONTENTS)
def test_what_a_reset_sent_again_has_its_first_time_and_what_came_since_its_own(
    before: list[tuple[str, str]], since: list[tuple[str, str]]
) -> None:
    first = events(before)
    again, new = events(before, first=1_000), events(since, first=2_000)
    found = list(as_first_sent([*again, *new], first))
    assert [signal.id for signal in found] == [signal.id for signal in [*again, *new]]
    assert [signal.at for signal in found] == [signal.at for signal in [*first, *new]]


@given(CONTENTS.filter(bool), st.data())
def test_what_a_reset_may_have_left_out_gets_no_earlier_time(
    before: list[tuple[str, str]], data: st.DataObject
) -> None:
    first = events(before)
    left_out = data.draw(st.sampled_from(first))
    again = events([(s.name, t) for s, (_, t) in zip(first, before, strict=True) if s != left_out], 1_000)
    for signal in as_first_sent(again, first):
        assert signal.kind != left_out.kind or signal.at >= DEADLINE + timedelta(seconds=1_000)


@given(st.lists(st.binary(max_size=4), max_size=3), st.lists(st.binary(max_size=4), max_size=3))
def test_two_signals_have_the_same_content_only_if_all_their_payloads_are_the_same(
    one: list[bytes], other: list[bytes]
) -> None:
    assert (content_of(one) == content_of(other)) == (one == other)
