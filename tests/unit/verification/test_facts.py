"""Facts: what is on record about a claim, folded from its events."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
import pytest
from msgspec import structs

from events.moments import interval
from service.verification.facts import Facts, Horizon
from service.verification.fold import fold
from service.verification.in_force import Dossier, InForce
from service.verification.policy import STRICT_TWO_SOURCE, evaluate

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case


def tell(case: Case) -> None:
    """Record something of every kind."""
    case.says("red-gov", said_at="2024-01-24", name="said")
    case.evidence(name="film")
    case.says("witness", rests_on=["evidence:film"], quantities=[{"measure": "killed", "value": 3}])
    case.assess("unverifiable")
    case.absence()
    case.authenticate(case.id_of("evidence", "film"))
    case.says("outlet", repeats="said")
    case.evidence("refutes", by="blue-gov", derived_from="film", authentic=True)
    judged = case.assess("refuted")
    case.says("blue-gov", "denies", name="denial")
    case.challenge("film", "blue-gov")
    case.challenge("film")
    case.correct("said", hedge="likely", said_at="2024-01-23")
    case.withdraw("denial", by="publisher")
    case.revoke(judged)
    case.void(judged)
    case.says("witness", "denies", name="mistaken")
    case.void("statement:mistaken")
    case.update(text="Put otherwise.", hedge="likely", quantities=[{"measure": "killed", "value": 3}])
    case.ask("red-gov", deadline="2023-11-15", name="first")
    case.expire("first")
    case.ask("red-gov", name="second")
    case.says("red-gov", "declines_comment", inquiry="second", name="answer")
    case.answer("second", statement="answer")
    case.publish("c")
    case.withdraw("said")


def test_folding_leaves_what_it_began_with_as_it_was(case: Case) -> None:
    """Facts that others hold do not change under them when more is recorded."""
    tell(case)
    for n in range(1, len(case.happened)):
        before = fold(None, case.happened[:n])
        kept = msgspec.json.encode(before)
        after = fold(before, case.happened[n:])
        assert kept == msgspec.json.encode(before)
        assert case.facts == after
        assert before != after


def test_folding_nothing_changes_nothing(case: Case) -> None:
    """Without further events the facts are the same, and without any there are none."""
    tell(case)
    assert case.facts == fold(case.facts, [])
    assert fold(None, []) is None


def test_facts_until_a_position_are_those_of_the_events_until_then(case: Case) -> None:
    """Looking back gives the statements, the evidence and the verdict that there were."""
    tell(case)
    for n in range(1, len(case.happened) + 1):
        prefix = fold(None, case.happened[:n])
        assert prefix is not None
        then, context = Horizon(n), case.context
        assert _shown(Dossier(prefix).in_force()) == _shown(case.dossier.in_force(then))
        was = evaluate(Dossier(prefix), context, STRICT_TWO_SOURCE)
        assert was == evaluate(case.dossier, context, STRICT_TWO_SOURCE, then)


def _shown(found: InForce) -> tuple[object, ...]:
    """Return what holds, without what becomes of it later."""
    said = [structs.replace(each, corrections=(), withdrawals=()) for each in found.statements.values()]
    withdrawn = {each.statement_id for each in found.withdrawn}
    judged = found.assessment and structs.replace(found.assessment, revoked=None)
    return (found.claim, said, withdrawn, found.repeats, found.corrected, found.evidence, found.absence_noted, judged)


def test_a_claims_stream_begins_with_the_claim(case: Case) -> None:
    """Events out of place are an error, not a guess."""
    case.says("witness")
    with pytest.raises(TypeError, match="begins with"):
        fold(None, case.happened[1:])
    with pytest.raises(TypeError, match="does not belong"):
        fold(case.facts, case.happened[:1])


def test_facts_count_every_event_and_know_the_last(case: Case) -> None:
    """The version is the number of events, the position that of the last one."""
    tell(case)
    last = case.happened[-1]
    assert (len(case.happened), last.position, last.recorded_at) == (
        case.facts.version,
        case.facts.position,
        case.facts.recorded_at,
    )


def test_stored_facts_are_the_facts(case: Case) -> None:
    """Facts that were kept as JSON give the same verdict as those folded anew."""
    tell(case)
    stored = msgspec.json.decode(msgspec.json.encode(case.facts), type=Facts)
    assert case.facts == stored
    assert case.verdict() == evaluate(Dossier(stored), case.context, STRICT_TWO_SOURCE)


@pytest.mark.parametrize(
    ("said", "moment"),
    [
        ({"said_at": "2024-01", "published_at": "2024-02-01"}, "2024-01"),
        ({"published_at": "2024-02-01"}, "2024-02-01"),
        ({"said_at": "2024-01-24T08:15Z"}, "2024-01-24T08:15Z"),
    ],
)
def test_a_statement_was_said_in_the_interval_of_its_moment(case: Case, said: dict[str, str], moment: str) -> None:
    """When it was said counts, else when it was published."""
    key = case.says("witness", **said)
    assert interval(moment) == (case.facts.statements[key].lo, case.facts.statements[key].hi)


def test_a_statement_without_any_moment_was_said_when_it_was_recorded(case: Case) -> None:
    """The time of recording stands in, to the microsecond."""
    key = case.says("witness")
    at = case.happened[-1].recorded_at
    assert (at, at) == (case.facts.statements[key].lo, case.facts.statements[key].hi)


def test_a_verdict_depends_on_these_sources(new_case: type[Case]) -> None:
    """Speakers, sources rested on, suppliers of evidence and the declarer matter; publishers and relays do not."""
    case = new_case(declared_by="red-mod")
    case.says("witness", rests_on=["source:neighbour"], publisher="agency", relay_ids=[case.id_of("source", "outlet")])
    case.evidence(by="blue-gov")
    expected = {case.id_of("source", name) for name in ("red-mod", "witness", "neighbour", "blue-gov")}
    assert expected == case.facts.source_ids()
