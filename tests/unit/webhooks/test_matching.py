"""Which webhooks an event concerns: the index finds those that a look at every webhook finds."""

from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from events.endpoints import Filters, Webhook
from events.words import State
from service.projections.documents import WebhookDocument
from service.webhooks.matching import Index, concerns
from service.webhooks.traits import Traits

TYPES = ("claim.registered", "claim.state_changed", "statement.recorded", "webhook.disabled")
PATTERNS = (*TYPES, "*", "claim.*", "statement.*", "webhook.*")
STATES = (State.CONTESTED, State.VERIFIED)


def ids(kind: str) -> st.SearchStrategy[str]:
    """Return some identifiers of a kind."""
    return st.sampled_from([f"{kind}_{n}" for n in range(3)])


def some(of: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    """Return a few, or none."""
    return st.lists(of, max_size=2, unique=True).map(tuple)


FILTERS = st.builds(
    Filters,
    types=st.lists(st.sampled_from(PATTERNS), min_size=1, max_size=2, unique=True).map(tuple),
    stories=some(ids("story")),
    claims=some(ids("claim")),
    sources=some(ids("source")),
    states=some(st.sampled_from(STATES)),
)
STATUS = st.sampled_from(["active", "active", "active", "disabled", "pending"])
WEBHOOKS = st.lists(st.tuples(st.integers(0, 5), FILTERS, STATUS), max_size=12)


def document(number: int, filters: Filters, status: Any) -> WebhookDocument:
    """Return a webhook with filters."""
    return WebhookDocument(f"webhook_{number}", 1, 1, "", "", Webhook(filters=filters), "k", status)


@st.composite
def events(draw: st.DrawFn) -> Traits:
    """Return what filters ask of an event, as :class:`Traits` has it."""
    type_ = draw(st.sampled_from(TYPES))
    traits = SimpleNamespace(
        type=type_,
        story=draw(st.one_of(st.just(""), ids("story"))),
        claims=draw(some(ids("claim"))),
        sources=set(draw(some(ids("source")))),
        state=draw(st.sampled_from(STATES)).value if type_ == "claim.state_changed" else "",
        about=f"webhook_{draw(st.integers(0, 5))}" if type_ == "webhook.disabled" else "",
    )
    traits.stands_under = lambda: Traits.stands_under(cast("Traits", traits))
    return cast("Traits", traits)


@given(WEBHOOKS, st.lists(events(), min_size=1, max_size=5), st.sets(st.integers(0, 5), max_size=2))
def test_the_index_finds_what_a_look_at_every_webhook_finds(
    changes: list[tuple[int, Filters, str]], happened: list[Traits], dropped: set[int]
) -> None:
    """Whatever webhooks are registered, changed, disabled and deleted: neither one too many nor one too few."""
    index, latest = Index(), {}
    for number, filters, status in changes:
        latest[number] = document(number, filters, status)
        index.put(latest[number])
    for number in dropped:
        latest.pop(number, None)
        index.drop(f"webhook_{number}")
    active = [each for each in latest.values() if each.status == "active"]
    assert len(active) == len(index)
    for traits in happened:
        expected = {each.id for each in active if concerns(each.webhook.filters, traits, each.id)}
        found = index.concerned(traits)
        assert (expected, len(expected)) == (set(found), len(found))


def test_an_empty_index_has_no_keys_left() -> None:
    """What is dropped leaves nothing behind, however often webhooks come and go."""
    index = Index()
    for n in range(50):
        index.put(document(n, Filters(claims=(f"claim_{n}",)), "active"))
        index.drop(f"webhook_{n}")
    assert (len(index), dict(index._by)) == (0, {})
