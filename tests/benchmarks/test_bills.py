"""No retry, fault or price gets an outside system to bill more than the run settles, or than its budget."""

from decimal import Decimal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from benchmarks.attacks.billing import FATES, KINDS, Fate, Kind, World, played

PRICES = st.sampled_from([Decimal(price) for price in ("0", "0.01", "0.1", "0.333333333333", "7")])
LOST: Fate = "answer lost"
UNHEARD: Fate = "unheard"
WORLDS = st.builds(
    World,
    kind=st.sampled_from(KINDS),
    price=PRICES,
    probe_price=st.none() | PRICES,
    budget=st.decimals(0, 30, places=12) | st.sampled_from([Decimal("0.25"), Decimal("0.1")]),
    attempts=st.integers(1, 6),
    fates=st.lists(st.sampled_from(FATES), max_size=20).map(tuple),
    has_effect=st.tuples(st.booleans(), st.booleans(), st.booleans()),
    calls=st.integers(1, 4),
)


def world_of(kind: Kind, fates: tuple[Fate, ...], *, attempts: int = 4) -> World:
    """A call for ten cents, with a dollar to spend."""
    return World(
        kind=kind,
        price=Decimal("0.1"),
        probe_price=None,
        budget=Decimal(1),
        attempts=attempts,
        fates=fates,
        has_effect=(False,),
        calls=1,
    )


@given(WORLDS)
@example(world_of("probe", ("answer lost", "forbidden", "fine")))
@example(world_of("key", (LOST,) * 20))
@example(world_of("read", (UNHEARD,) * 20))
@settings(max_examples=300)
def test_what_was_billed_is_settled_and_the_budget_holds(world: World) -> None:
    run = played(world)
    assert run.outside.billed <= run.settled <= world.budget
    assert not run.purse_was_passed


@given(WORLDS.filter(lambda world: all(fate == "fine" for fate in world.fates)))
@settings(max_examples=20)
def test_where_nothing_fails_each_call_costs_its_price(world: World) -> None:
    run = played(world)
    assert run.outside.billed == run.settled


def test_a_call_that_never_reached_the_outside_costs_nothing() -> None:
    nowhere: list[tuple[Kind, Fate]] = [
        ("ask", "ledger away"),
        ("key", "forbidden"),
        ("probe", "unavailable"),
        ("read", "unavailable"),
    ]
    for kind, fate in nowhere:
        run = played(world_of(kind, (fate,) * 40, attempts=1 if kind == "read" else 4))
        assert (run.outside.billed, run.settled) == (0, 0), kind
