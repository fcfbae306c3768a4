"""What was said at no known time is as of when the store recorded it, whatever the clock of the service says."""

import hashlib
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from events import catalog
from events.identifiers import derived_id
from events.ledger import Ledger
from events.records import Claim, Source, Statement, Story
from events.words import SourceKind, Stance
from service.verification import commands
from service.verification.commands import Caller, Outcome, Recorder

STORY, WITNESS = derived_id("story", "s"), derived_id("source", "witness")
MINUTE = 60_000_000
Tell = Callable[[str, Stance, str | None], Awaitable[Outcome]]


def caller() -> Caller:
    """Return the caller of a command that was never given before."""
    key = uuid4().hex
    return Caller("key_test", key, hashlib.sha256(key.encode()).hexdigest())


@pytest.fixture
async def tell(recorder: Recorder) -> Tell:
    """Have the witness take a stance on a claim, by its name, at a time or none."""
    await recorder.on_story(catalog.StoryOpened(story_id=STORY, story=Story(title="A story")), caller())
    witness = Source(name="A witness", kind=SourceKind.PERSON)
    await recorder.on_source(catalog.SourceRegistered(source_id=WITNESS, source=witness), caller())

    async def tell_(claim: str, stance: Stance, said_at: str | None) -> Outcome:
        claim_id = derived_id("claim", claim)
        said = Statement(speaker_id=WITNESS, stance=stance, said_at=said_at)
        event = catalog.StatementRecorded(
            claim_id=claim_id, statement_id=derived_id("statement", uuid4().hex), statement=said
        )
        events: list[catalog.Event] = [event]
        if not await recorder.ledger.version(claim_id):
            begun = catalog.ClaimRegistered(claim_id=claim_id, claim=Claim(story_id=STORY, text="It is so."))
            events.insert(0, begun)
        return await recorder.on_claim(events, caller())

    return tell_


async def states(ledger: Ledger, claim: str) -> list[str]:
    """Return the states that were recorded of a claim, in their order."""
    events = [entry.event for entry in await ledger.history(derived_id("claim", claim))]
    return [event.to.value for event in events if isinstance(event, catalog.ClaimStateChanged)]


async def test_a_clock_that_goes_wrong_makes_no_verdict_wrong(
    ledger: Ledger, recorder: Recorder, tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a witness says now and what it said in this minute count together, though our clock is half an hour ahead.

    The first verdict is put right at once; from then on it is known how far the clocks are apart.
    """
    clock = commands._clock
    for n, claim in enumerate(("first", "second", "third")):
        said = await tell(claim, Stance.ASSERTS, None)
        this_minute = f"{said.recordedtime[:16]}Z"
        await tell(claim, Stance.ASSERTS, this_minute)
        monkeypatch.setattr(commands, "_clock", lambda: clock() + 30 * MINUTE)
        await tell(claim, Stance.DENIES, None)
        world, _ = await Recorder(ledger).reader.world(derived_id("claim", claim))
        found = await states(ledger, claim)
        assert world.verdict(derived_id("claim", claim)).state.value == found[-1]
        if found[-1] == "contested":  # unless the minute has just ended
            assert (["unverified", "denied", "contested"] if n == 0 else ["unverified", "contested"]) == found
