"""What keeping documents rests on: an event names, in its bytes, every document that it changes."""

import pytest

from events import catalog
from events.catalog import CATALOG, Event
from events.envelope import Provenance, encode
from service.projections.catalog import PROJECTIONS
from service.projections.kept import named_in
from service.verification.policy import STRICT_TWO_SOURCE
from tests.unit.events.test_envelope import BELONGS, SOURCE

EXAMPLES: list[Event] = [
    *(event for event, _ in BELONGS),
    catalog.LedgerCreated(ledger="main", epoch="0000000000000", policy=STRICT_TWO_SOURCE),
    catalog.LedgerRestored(ledger="main", epoch="0000000000001", size=7, root="A" * 43 + "="),
    catalog.LedgerArchiveLost(ledger="main", sealed=7, reason="The disk burnt."),
    catalog.PolicyActivated(policy=STRICT_TWO_SOURCE),
    catalog.SubjectErased(subject_id=SOURCE),
    catalog.ProjectionEventSkipped(projection="claims", position=7, why="It is broken."),
]


def test_there_is_an_example_of_every_type() -> None:
    """Nothing that can be recorded is left out below."""
    assert set(CATALOG.values()) == {type(event) for event in EXAMPLES}


@pytest.mark.parametrize("event", EXAMPLES, ids=lambda event: event.TYPE)
def test_an_event_names_what_it_changes(event: Event) -> None:
    """Whoever reads a document again once an event names it never shows what is outdated."""
    named = set(named_in(encode("main", event, Provenance("system", "c", "ab" * 32))))
    for projection in PROJECTIONS:
        assert set(projection.keys(event)) <= named


def test_what_is_quoted_is_no_name() -> None:
    """An identifier in somebody's words is not taken for one."""
    claim = "claim_01m82y52e0eh1af9xd0d44xhae"
    assert list(named_in(b'{"quote":"he said \\"%b\\" himself"}' % claim.encode())) == []
    assert [claim] == list(named_in(b'{"claim_id":"%b"}' % claim.encode()))
