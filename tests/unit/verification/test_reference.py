"""Reference: what decisions depend on beside their claim, read once and kept, never half."""

import asyncio

import pytest

from events import catalog, words
from events.identifiers import derived_id
from events.ledger import Ledger
from events.records import Claim, Source, SourceChanges, Statement, Story
from events.words import SourceKind, Stance
from service.verification import reference
from service.verification.commands import Caller, Outcome, Recorder
from service.verification.reference import Reference
from service.verification.refusals import UnknownReference

STORY, CLAIM = derived_id("story", "s"), derived_id("claim", "c")
PEOPLE = {name: derived_id("source", name) for name in ("top", "middle", "low", "witness", "neighbour", "institute")}


def caller(name: str) -> Caller:
    """Return the caller of one command."""
    return Caller("key_test", name, f"{len(name):064x}")


async def register(recorder: Recorder, name: str, *upper: str, parties: tuple[str, ...] = ()) -> None:
    """Register a source."""
    source = Source(
        name=name, kind=SourceKind.PERSON, parties=parties, affiliated_to=tuple(PEOPLE[each] for each in upper)
    )
    proposed = catalog.SourceRegistered(source_id=PEOPLE[name], source=source)
    await recorder.on_source(proposed, caller(f"register {name}"))


async def say(recorder: Recorder, name: str) -> Outcome:
    """Record that a source asserts the claim."""
    said = Statement(speaker_id=PEOPLE[name], stance=Stance.ASSERTS)
    key = derived_id("statement", name)
    proposed = catalog.StatementRecorded(claim_id=CLAIM, statement_id=key, statement=said)
    return await recorder.on_claim([proposed], caller(f"say {name}"))


@pytest.fixture
async def prepared(recorder: Recorder) -> Recorder:
    """A recorder whose ledger has a story, a claim, and people: low answers to middle, and middle to top."""
    story = Story(title="t", parties=("red",))
    await recorder.on_story(catalog.StoryOpened(story_id=STORY, story=story), caller("open"))
    await register(recorder, "top", parties=("red",))
    await register(recorder, "middle", "top")
    await register(recorder, "low", "middle")
    for name in ("witness", "neighbour", "institute"):
        await register(recorder, name)
    claim = Claim(story_id=STORY, text="t", serves=(), harms=())
    await recorder.on_claim([catalog.ClaimRegistered(claim_id=CLAIM, claim=claim)], caller("claim"))
    return recorder


async def test_a_source_comes_with_everybody_above_it(ledger: Ledger, prepared: Recorder) -> None:
    """Reading a source brings the parties of all that it answers to; one that is not on record is not there."""
    edition = await Reference(ledger).edition()
    sources = await edition.read_sources([PEOPLE["low"], derived_id("source", "nobody")])
    assert frozenset({"red"}) == sources.now[PEOPLE["low"]].parties
    assert derived_id("source", "nobody") not in sources


async def test_two_decisions_at_once_both_see_everybody_above_a_source(ledger: Ledger, prepared: Recorder) -> None:
    """A decision that begins while another is still reading who is above a speaker does not find it half read."""
    shared = await Reference(ledger).edition()
    first = asyncio.create_task(shared.read_sources([PEOPLE["low"]]))
    while PEOPLE["low"] not in shared.sources and not first.done():  # noqa: ASYNC110 - it tells nobody how far it is
        await asyncio.sleep(0)
    sources = await shared.read_sources([PEOPLE["low"]])
    assert frozenset({"red"}) == sources.now[PEOPLE["low"]].parties
    await first


async def test_dropping_what_was_kept_loses_no_source_of_a_claim(
    ledger: Ledger, prepared: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that knows more sources than it keeps still decides on all of a claim's statements."""
    monkeypatch.setattr(reference, "_MOST_KEPT", 3)
    recorder = Recorder(ledger)
    for n, name in enumerate(("low", "witness", "neighbour", "institute"), start=1):
        outcome = await say(recorder, name)
        changed = outcome.happened[-1].event
        assert isinstance(changed, catalog.ClaimStateChanged)
        assert n == changed.because.n


async def test_a_term_of_a_sum_that_is_not_on_record_is_refused_with_its_place(prepared: Recorder) -> None:
    """An unknown claim, and a measure that a known one does not give, are pointed to."""
    figure = words.Quantity(measure="killed", value=1)
    for term, pointer in (
        (words.Summand(claim_id=derived_id("claim", "nothing"), measure="killed"), "/sum_of/1/claim_id"),
        (words.Summand(claim_id=CLAIM, measure="injured"), "/sum_of/1/measure"),
    ):
        known = derived_id("claim", pointer)
        whole = Claim(story_id=STORY, text="t", quantities=(figure,))
        await prepared.on_claim([catalog.ClaimRegistered(claim_id=known, claim=whole)], caller(pointer))
        terms = (words.Summand(claim_id=known, measure="killed"), term)
        total = Claim(story_id=STORY, text="t", quantities=(figure,), sum_of=terms)
        proposed = catalog.ClaimRegistered(claim_id=derived_id("claim", "sum"), claim=total)
        with pytest.raises(UnknownReference) as refused:
            await prepared.on_claim([proposed], caller(f"sum {pointer}"))
        assert pointer == refused.value.pointer


async def test_a_change_above_a_speaker_is_seen_by_the_next_decision(ledger: Ledger, prepared: Recorder) -> None:
    """Whoever answers to a source that is described anew is judged by what is above it from then on."""
    changes = SourceChanges(affiliated_to=(), parties=())
    await say(prepared, "low")
    await say(prepared, "top")
    alone = catalog.SourceUpdated(source_id=PEOPLE["middle"], changes=changes)
    await Recorder(ledger).on_source(alone, caller("middle on its own"))
    outcome = await say(prepared, "witness")
    changed = outcome.happened[-1].event
    assert isinstance(changed, catalog.ClaimStateChanged)
    assert changed.because.n == 3


async def test_what_was_changed_above_a_source_is_read_again(ledger: Ledger, prepared: Recorder) -> None:
    """A new edition has the sources below a changed one as they are now, at any remove."""
    reference_ = Reference(ledger)
    edition = await reference_.edition()
    await edition.read_sources([PEOPLE["low"]])
    changes = SourceChanges(parties=("blue",))
    await prepared.on_source(catalog.SourceUpdated(source_id=PEOPLE["top"], changes=changes), caller("top turns"))
    renewed = await reference_.renew()
    sources = await renewed.read_sources([PEOPLE["low"]])
    assert frozenset({"blue"}) == sources.now[PEOPLE["low"]].parties
