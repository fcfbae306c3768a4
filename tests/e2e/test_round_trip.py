"""An export, imported into another ledger, gives the same verdicts for the same reasons, and twice nothing twice."""

import contextlib
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events import catalog
from events.catalog import Event
from events.ledger import Ledger
from events.store import Store
from service.desk.recording import propose
from service.load import StoryFile, load, read_story
from service.verification.commands import Caller, Recorder
from service.verification.policy import STRICT_TWO_SOURCE
from service.verification.refusals import AlreadyRecorded
from tests.e2e.test_il76 import STEPS
from tests.e2e.test_import import another, export_to, outcomes, take
from tests.property import chance
from tests.property.histories import Stage, Step
from tests.unit.verification.conftest import Case

SEEDS = range(12)


async def verdicts(ledger: Ledger) -> dict[str, Any]:
    """Return where each claim stands now and because of what, or what it is merged into, and what was recorded last."""
    recorder, found = Recorder(ledger), dict[str, Any]()
    for entry in await ledger.read(0, 5000):
        if isinstance(entry.event, catalog.ClaimRegistered):
            claim_id = entry.event.claim_id
            world, _ = await recorder.reader.world(claim_id)
            facts = world.facts[claim_id]
            told = str(facts.merged_into) if facts.merged_into else unordered(world.verdict(claim_id))
            last = None if facts.merged_into or facts.last is None else msgspec.to_builtins(facts.last)
            found[claim_id] = told, {name: value for name, value in (last or {}).items() if name in RECORDED}
    return found


RECORDED = ("state", "flags", "credibility", "n", "nd", "od", "policy")


def unordered(value: Any) -> Any:
    """Return a value as JSON has it, with the identifiers in it in an order of their own."""
    value = msgspec.to_builtins(value)
    if isinstance(value, dict):
        return {name: unordered(each) for name, each in value.items()}
    return sorted(value, key=str) if isinstance(value, list | tuple) else value


async def assert_comes_back(ledger: Ledger, store: Store, tmp_path: Path) -> dict[str, Any]:
    """Export a ledger into another one, twice, and see both agree; return where claims stand."""
    path, other = await export_to(tmp_path / f"{ledger.name}.ndjson", ledger), await another(store, ledger)
    assert {"taken"} == set(outcomes(await take(other, path)))
    before, head = await verdicts(ledger), await other.head()
    assert before == await verdicts(other)
    assert {"there"} == set(outcomes(await take(other, path)))
    assert head.position == (await other.head()).position
    return before


@pytest.mark.parametrize("steps", range(len(STEPS) + 1))
async def test_a_real_story_comes_back_at_each_of_its_steps(
    ledger: Ledger, store: Store, recorder: Recorder, il76: StoryFile, tmp_path: Path, steps: int
) -> None:
    """After the day's reporting, and after each of what followed."""
    upto = StoryFile(il76.key, il76.items[: len(il76.items) - len(STEPS) + steps])
    async for part in load(upto, recorder):
        assert part.new
    assert len(await assert_comes_back(ledger, store, tmp_path)) > 20


async def test_every_kind_of_event_comes_back(ledger: Ledger, store: Store, recorder: Recorder, tmp_path: Path) -> None:
    """Corrections, withdrawals, merges, splits and voids among them."""
    async for part in load(read_story(Path(__file__).parent / "every-kind.json"), recorder):
        assert part.new
    await assert_comes_back(ledger, store, tmp_path)


def dated(step: Step) -> Step:
    """Return a step of which all that has a place in time says when it was: else an import rightly stops."""
    do, said = step
    if do == "says" and not (said["said_at"] or said["published_at"]):
        said = said | {"said_at": "2023-01-24"}
    elif do == "withdraw":
        said = said | {"at": said["at"] or "2023-02"}
    elif do == "correct":
        said = said | {"after": {name: value for name, value in said["after"].items() if value is not None}}
    return do, said


async def record(ledger: Ledger, events: Sequence[Event]) -> None:
    """Record what is not derived; a source or story that is described as it was is left out."""
    recorder = Recorder(ledger)
    for n, event in enumerate(events):
        if not isinstance(event, catalog.ClaimStateChanged):
            command_id = f"sys:history:{n}"
            again = isinstance(event, catalog.SourceUpdated | catalog.StoryUpdated)
            with contextlib.suppress(*((AlreadyRecorded,) if again else ())):
                caller = Caller("system", command_id, hashlib.sha256(command_id.encode()).hexdigest())
                await propose(event, recorder, caller)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", SEEDS)
async def test_a_history_that_nobody_thought_of_comes_back(
    store: Store, ledger_name: str, tmp_path: Path, seed: int
) -> None:
    """Also one in which sources and the story change under the claims."""
    claim, steps = chance.history(seed)
    steps = [step for step in map(dated, steps) if step[0] != "correct" or step[1]["after"]]
    case = Stage(Case, claim).play(steps)
    ledger = await Ledger.open(store, ledger_name, create=STRICT_TWO_SOURCE)
    await record(ledger, [*case.begun, *(it.event for it in case.happened)])
    assert (await ledger.head()).position > len(steps)
    await assert_comes_back(ledger, store, tmp_path)
