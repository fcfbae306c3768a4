"""Projections over HTTP and at the command line: how far they are, rebuilt while serving, called off, stopped."""

import asyncio
from collections.abc import Callable
from uuid import uuid4

import httpx2
import msgspec
import pytest

from events.catalog import Authentication, Event, EvidenceAuthenticated, Story, StoryOpened
from events.envelope import Cursor, Provenance, encode, subject_of
from events.group_commit import Prepared
from events.identifiers import new_id
from events.ledger import Ledger
from events.store import Store
from service import cli
from service.projections import rebuild
from service.projections.catalog import PROJECTIONS
from service.projections.engine import place
from service.projections.status import ProjectionStatus
from service.settings import Settings
from service.verification.commands import Recorder


async def statuses(api: httpx2.AsyncClient) -> dict[str, ProjectionStatus]:
    """Return how each projection stands."""
    answer = await api.get("/v1/projections")
    assert answer.status_code == 200, answer.text
    return {each["name"]: msgspec.convert(each, ProjectionStatus) for each in answer.json()["items"]}


async def until(
    api: httpx2.AsyncClient, holds: Callable[[dict[str, ProjectionStatus]], bool]
) -> dict[str, ProjectionStatus]:
    """Return how the projections stand once something holds of it."""
    async with asyncio.timeout(15):
        while not holds(found := await statuses(api)):  # noqa: ASYNC110 - it is asked over HTTP
            await asyncio.sleep(0)
    return found


async def record_unknown(ledger: Ledger, event: Event | None = None) -> int:
    """Record what a newer release would: an event of a type that this one does not know. Return its position.

    Or record an event that this release knows and would not have recorded there.
    """
    recorded = event or StoryOpened(story_id=new_id("story"), story=Story(title="A song"))
    draft = encode(ledger.name, recorded, Provenance("system", new_id("key"), "00" * 32))
    if event is None:
        draft = draft.replace(b"story.opened", b"story.sung")
    prepared = Prepared(uuid4().hex, "00" * 32, {}, [draft], [(subject_of(recorded),)], len(draft))
    return (await ledger._commits.append(prepared)).last


async def caught_up(api: httpx2.AsyncClient, ledger: Ledger) -> dict[str, ProjectionStatus]:
    """Return how the projections stand once each is at the end of the ledger."""
    head = (await ledger.head()).position
    return await until(api, lambda now: all(each.checkpoint == head for each in now.values()))


async def skip(api: httpx2.AsyncClient, name: str, position: int, **headers: str) -> httpx2.Response:
    """Ask for a projection to go on past an event."""
    body = {"position": position, "why": "It is a song."}
    return await api.post(f"/v1/projections/{name}/skip", json=body, headers=headers)


async def test_every_projection_says_how_far_it_is(api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder) -> None:
    """Each is listed with its generation, its place and its lag, which ends at nothing."""
    found = await until(api, lambda now: not any(each.lag for each in now.values()))
    head = (await ledger.head()).position
    assert {projection.name for projection in PROJECTIONS} == set(found)
    assert {(1, head, 0)} == {(each.generation, each.checkpoint, each.lag) for each in found.values()}


async def test_a_worker_rebuilds_what_it_is_asked_to(api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder) -> None:
    """The request is accepted at once; soon the next generation serves, with the same digest."""
    after = str(Cursor(ledger.epoch, (await ledger.head()).position))
    await api.get("/v1/claims", headers={"Onrecord-After": after})
    before = (await statuses(api))["claims"]
    asked = await api.post("/v1/projections/claims/rebuild")
    assert (asked.status_code, asked.json()) == (
        202,
        {"name": "claims", "asked": "rebuild", "status": "/v1/projections"},
    )
    now = (await until(api, lambda found: found["claims"].generation != before.generation))["claims"]
    assert (before.generation + 1, before.checkpoint, before.digest) == (now.generation, now.checkpoint, now.digest)
    assert len((await api.get("/v1/claims", params={"limit": 200})).json()["items"]) == 28


async def test_a_rebuild_can_be_called_off(api: httpx2.AsyncClient) -> None:
    """Calling off is accepted, whether or not the rebuild had begun."""
    await api.post("/v1/projections/sources/rebuild")
    called_off = await api.delete("/v1/projections/sources/rebuild")
    assert (called_off.status_code, called_off.json()["asked"]) == (202, "cancellation")
    assert not (await statuses(api))["sources"].requested


async def test_a_rebuild_that_was_asked_for_is_not_begun_again_by_a_retry(api: httpx2.AsyncClient) -> None:
    """Asking again with the same key is answered alike, also when the rebuild is long over, and does nothing."""
    before = (await statuses(api))["claims"].generation
    headers = {"Idempotency-Key": "once"}
    first = await api.post("/v1/projections/claims/rebuild", headers=headers)
    await until(api, lambda found: found["claims"].generation > before and not found["claims"].requested)
    again = await api.post("/v1/projections/claims/rebuild", headers=headers)
    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert not (await statuses(api))["claims"].requested
    for other in (await api.delete("/v1/projections/claims/rebuild", headers=headers),):
        assert (other.status_code, other.json()["type"]) == (422, "/problems/idempotency-conflict")


async def test_a_projection_that_there_is_not_is_not_found(api: httpx2.AsyncClient) -> None:
    """The problem names those that there are."""
    for answer in (
        await api.post("/v1/projections/nothing/rebuild"),
        await api.delete("/v1/projections/nothing/rebuild"),
    ):
        assert answer.status_code == 404
        assert "claims" in answer.json()["detail"]


async def test_an_event_that_cannot_be_read_stops_the_projections_loudly(
    api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder
) -> None:
    """An event of an unknown type is told with its position, makes the service unready, and is never passed over."""
    head = await record_unknown(ledger) - 1
    now = (await until(api, lambda found: found["claims"].stopped is not None))["claims"]
    assert now.stopped is not None
    assert (head, head + 1) == (now.checkpoint, now.stopped.position)
    ready = await api.get("/readyz")
    assert ready.status_code == 503
    assert "projection claims: it stopped at an event, in 1 of 1 ledgers" in ready.json()["why_not"]


@pytest.mark.parametrize("what", ["unknown", "out of place"])
async def test_a_stopped_projection_goes_on_past_an_event_once_that_is_recorded(
    api: httpx2.AsyncClient, ledger: Ledger, store: Store, loaded: Recorder, what: str
) -> None:
    """A skip is an event of the ledger; what follows is projected, and a rebuild honours it with the same digest."""
    nowhere = EvidenceAuthenticated(
        claim_id=new_id("claim"),
        evidence_id=new_id("evidence"),
        authentication=Authentication(method="Looked at.", by=new_id("person")),
    )
    position = await record_unknown(ledger, None if what == "unknown" else nowhere)
    claim = (await api.get("/v1/claims")).json()["items"][0]
    absence = await api.post(
        f"/v1/claims/{claim['id']}/evidence", json={"kind": "video", "bearing": "supports", "description": "Seen."}
    )
    assert absence.status_code == 201, absence.text
    stopped = await until(api, lambda now: now["claims"].stopped is not None)
    for name in [name for name, each in stopped.items() if each.stopped]:
        asked = await skip(api, name, position, **{"Idempotency-Key": name})
        assert asked.status_code == 202, asked.text
        again = await skip(api, name, position, **{"Idempotency-Key": name})
        assert again.status_code == 202, again.text
    now = await caught_up(api, ledger)
    assert not any(each.stopped for each in now.values())
    assert (await api.get("/readyz")).status_code == 200
    read = await api.get(f"/v1/claims/{claim['id']}")
    assert absence.json()["id"] in [each["id"] for each in read.json()["evidence"]]
    (entry,) = await ledger.history("projection:claims")
    expected = {"projection": "claims", "position": position, "why": "It is a song."}
    assert expected == msgspec.json.decode(entry.envelope.data)
    assert (await skip(api, "claims", position)).json()["type"] == "/problems/already-recorded"
    for projection in PROJECTIONS:
        before = await place(store, ledger.keys, projection.name)
        async for _ in rebuild.rebuild(store, ledger, projection):
            pass
        assert before._replace(generation=before.generation + 1) == await place(store, ledger.keys, projection.name)


async def test_only_the_event_at_which_a_projection_stopped_can_be_skipped(
    api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder
) -> None:
    """Another position, or a projection that goes on, is refused with what is so; nothing is recorded."""
    going = await skip(api, "claims", 5)
    assert (going.status_code, going.json()["type"]) == (422, "/problems/rule-broken")
    position = await record_unknown(ledger)
    await until(api, lambda now: now["claims"].stopped is not None)
    elsewhere = await skip(api, "claims", position - 1)
    assert (elsewhere.status_code, elsewhere.json()["errors"][0]["pointer"]) == (422, "/position")
    assert f"stopped at event {position}" in elsewhere.json()["detail"]
    assert (await skip(api, "nothing", position)).status_code == 404
    assert (await api.post("/v1/projections/claims/skip", json={"position": position})).status_code == 422
    assert await ledger.history("projection:claims") == []


async def test_the_command_line_skips_and_shows(
    api: httpx2.AsyncClient,
    ledger: Ledger,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    loaded: Recorder,
) -> None:
    """``onrecord skip NAME POSITION --why`` asks the API, and says what it was told."""
    monkeypatch.setenv("ONRECORD_HOME", settings.home)
    monkeypatch.setenv("ONRECORD_PORT", str(api.base_url.port))
    position = await record_unknown(ledger)
    await until(api, lambda now: now["claims"].stopped is not None)
    with pytest.raises(SystemExit):
        await asyncio.to_thread(cli.app, ["skip", "claims", "1", "--why", "No."])
    assert f"stopped at event {position}" in capsys.readouterr().err.replace("\n", " ")
    with pytest.raises(SystemExit) as ended:
        await asyncio.to_thread(cli.app, ["skip", "claims", str(position), "--why", "It is a song."])
    assert ended.value.code in {0, None}
    await until(api, lambda now: now["claims"].stopped is None and now["claims"].lag == 0)
