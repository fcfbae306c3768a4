"""What a rebuild promises: readers and writers never notice, and nothing is ever half done."""

import asyncio

import httpx2
import pytest
from msgspec import structs

from events.identifiers import derived_id
from events.lease import Lease
from events.ledger import Ledger
from events.store import Store
from service.load import StoryFile, load
from service.projections import engine, rebuild
from service.projections.catalog import CLAIMS, PROJECTIONS, Projection
from service.projections.engine import Projector, place, write
from service.projections.queries import Queries
from service.projections.rebuild import Progress, RebuildRefused
from service.verification.commands import Recorder
from service.worker import Worker


async def contents(store: Store, ledger: Ledger, projection: Projection) -> dict[str, object]:
    """Return everything that the live generation of a projection holds, by the rest of its key."""
    at = await place(store, ledger.keys, projection.name)
    prefix = ledger.keys.generation(projection.name, at.generation)
    found: dict[str, object] = {}
    async for key in store.scan_iter(f"{prefix}*"):
        kind = await store.type(key)
        name = key.decode().removeprefix(prefix)
        if kind == b"string":
            found[name] = await store.get(key)
        elif kind == b"list":
            found[name] = await store.lrange(key, 0, -1)
        else:
            found[name] = await store.zrange(key, 0, -1, withscores=True)
    return found


async def generations(store: Store, ledger: Ledger, projection: Projection) -> set[str]:
    """Return the generations of which the store has any key."""
    prefix = ledger.keys.generation(projection.name, 0).removesuffix("0:")
    return {key.decode().removeprefix(prefix).partition(":")[0] async for key in store.scan_iter(f"{prefix}*")}


@pytest.fixture
async def caught_up(store: Store, ledger: Ledger, loaded: Recorder, worker: Worker) -> None:
    """The Il-76 story, with every projection at its end."""
    head = (await ledger.head()).position
    for projection in PROJECTIONS:
        await Queries(store, ledger.keys).wait_for(projection, head, seconds=10)


async def run(store: Store, ledger: Ledger, projection: Projection) -> list[Progress]:
    """Rebuild to the end."""
    return [progress async for progress in rebuild.rebuild(store, ledger, projection)]


@pytest.mark.parametrize("projection", PROJECTIONS, ids=lambda projection: projection.name)
async def test_a_rebuild_gives_the_same_again(
    store: Store, ledger: Ledger, caught_up: None, projection: Projection
) -> None:
    """Documents, lists, indexes and digest are the same in the next generation, and the old one is gone."""
    before, at = await contents(store, ledger, projection), await place(store, ledger.keys, projection.name)
    progress = await run(store, ledger, projection)
    after = await place(store, ledger.keys, projection.name)
    assert before == await contents(store, ledger, projection)
    assert (at.generation + 1, at.checkpoint, at.digest) == after
    assert (at.checkpoint, at.checkpoint) == (progress[-1].done, progress[-1].total)
    assert await generations(store, ledger, projection) <= {str(after.generation)}


async def test_reads_and_writes_go_on_throughout(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger, recorder: Recorder, il76: StoryFile
) -> None:
    """While claims are rebuilt again and again, every write succeeds and every read sees all that was acknowledged."""
    rebuilt = 0
    stop = asyncio.Event()

    async def rebuild_on_and_on() -> None:
        nonlocal rebuilt
        while not stop.is_set():
            await run(store, ledger, CLAIMS)
            rebuilt += 1

    rebuilding = asyncio.create_task(rebuild_on_and_on())
    story = derived_id("story", il76.key)
    claims = 0
    async for part in load(il76, recorder):
        claims += part.where.startswith("claims/")
        after = str(ledger.cursor((await ledger.head()).position))
        page = await api.get("/v1/claims", params={"story": story, "limit": 200}, headers={"Onrecord-After": after})
        assert (200, claims) == (page.status_code, len(page.json()["items"])), page.text
    stop.set()
    await rebuilding
    assert rebuilt > 0


async def test_reads_after_writes_see_them_while_rebuilds_take_over(
    api: httpx2.AsyncClient, store: Store, ledger: Ledger, caught_up: None
) -> None:
    """Whichever generation is live, a read with a write's token sees that write: in the document and in every list."""
    story = (await api.get("/v1/stories")).json()["items"][0]["id"]
    source = (await api.get("/v1/sources")).json()["items"][0]["id"]
    rebuilt, ended = 0, asyncio.Event()

    async def rebuild_on_and_on() -> None:
        nonlocal rebuilt
        while not ended.is_set():
            await run(store, ledger, CLAIMS)
            rebuilt += 1

    async def posted(path: str, body: object) -> tuple[str, dict[str, str]]:
        answer = await api.post(path, json=body)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"], {"Onrecord-After": answer.headers["Onrecord-After"]}

    async def write_and_read_back(times: int) -> None:
        for n in range(times):
            claim, seen = await posted("/v1/claims", {"story_id": story, "text": f"It fell, {n}."})
            for filters in ({"story": story}, {"state": "unverified"}):
                listed = await api.get("/v1/claims", params=filters | {"limit": 200}, headers=seen)
                assert claim in [each["id"] for each in listed.json()["items"]], f"{filters} after {rebuilt} rebuilds"
            for _ in range(3):
                said, seen = await posted(f"/v1/claims/{claim}/statements", {"speaker_id": source, "stance": "asserts"})
                read = await api.get(f"/v1/claims/{claim}", headers=seen)
                assert said == read.json()["statements"][-1]["id"], f"after {rebuilt} rebuilds"

    rebuilding = asyncio.create_task(rebuild_on_and_on())
    try:
        await asyncio.gather(*(write_and_read_back(8) for _ in range(4)))
    finally:
        ended.set()
        await rebuilding
    assert rebuilt > 1


async def test_a_page_of_a_generation_that_was_dropped_meanwhile_is_read_again(
    store: Store, ledger: Ledger, caught_up: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If a rebuild takes over and drops the indexes under a page, the page is not short: it is that of the new one."""
    queries = Queries(store, ledger.keys)
    whole = await queries.page(CLAIMS, [], limit=200)
    documents, taken_over = queries._documents, False

    async def late(projection: Projection, generation: int, names: list[str]) -> tuple[list[bytes | None], int]:
        nonlocal taken_over
        if not taken_over:
            taken_over = True
            await run(store, ledger, CLAIMS)
        return await documents(projection, generation, names)

    monkeypatch.setattr(queries, "_documents", late)
    assert whole.items == (await queries.page(CLAIMS, [], limit=200)).items
    assert taken_over


async def test_documents_that_were_tampered_with_are_not_silently_replaced(
    store: Store, ledger: Ledger, caught_up: None
) -> None:
    """If the same code makes other documents than the live ones, the rebuild says so and leaves everything."""
    at = await place(store, ledger.keys, CLAIMS.name)
    await store.hset(ledger.keys.projection(CLAIMS.name), f"digest:{at.generation}", "abc")
    with pytest.raises(RebuildRefused, match="something other than a projector"):
        await run(store, ledger, CLAIMS)
    assert at.generation == (await place(store, ledger.keys, CLAIMS.name)).generation
    assert {str(at.generation)} == await generations(store, ledger, CLAIMS)


async def test_every_generation_says_which_version_of_the_code_made_it(
    store: Store, ledger: Ledger, loaded: Recorder
) -> None:
    """The first one too, so that a rebuild by another version is not held against it, and one by the same is."""
    later = structs.replace(CLAIMS, version=CLAIMS.version + 1)
    projector = Projector(store, ledger, later)
    (written,) = await write(store, [await projector.plan(await projector.place(), await ledger.read(0, 10_000))])
    assert written
    await store.hset(ledger.keys.projection(CLAIMS.name), "digest:1", "abc")
    with pytest.raises(RebuildRefused, match="something other than a projector"):
        await run(store, ledger, later)
    assert await run(store, ledger, CLAIMS)


async def test_a_rebuild_that_is_called_off_leaves_nothing(store: Store, ledger: Ledger, caught_up: None) -> None:
    """After a cancel, the generation that was being built takes nothing more and is dropped."""
    at = await place(store, ledger.keys, CLAIMS.name)
    await rebuild.request(store, ledger, CLAIMS)
    assert await rebuild.requested(store, ledger, PROJECTIONS) == [CLAIMS]
    await rebuild.cancel(store, ledger, CLAIMS)
    assert await rebuild.requested(store, ledger, PROJECTIONS) == []
    steps = rebuild.rebuild(store, ledger, CLAIMS)
    await anext(steps)
    await rebuild.cancel(store, ledger, CLAIMS)
    with pytest.raises(RebuildRefused):
        await anext(steps)
    assert at == await place(store, ledger.keys, CLAIMS.name)
    assert {str(at.generation)} == await generations(store, ledger, CLAIMS)


async def test_a_rebuild_that_was_killed_is_cleaned_up_by_the_next(
    store: Store, ledger: Ledger, caught_up: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a killed process left behind is dropped before the next rebuild begins."""
    before = await contents(store, ledger, CLAIMS)
    new = await rebuild._begin(store, ledger, CLAIMS)
    await store.set(f"{ledger.keys.generation(CLAIMS.name, new)}document:left", b"{}")
    await run(store, ledger, CLAIMS)
    assert before == await contents(store, ledger, CLAIMS)
    assert len(await generations(store, ledger, CLAIMS)) == 1


async def test_two_rebuilds_of_one_projection_are_refused(store: Store, ledger: Ledger, caught_up: None) -> None:
    """While one process rebuilds, another is told so."""
    steps = rebuild.rebuild(store, ledger, CLAIMS)
    await anext(steps)
    with pytest.raises(RebuildRefused, match="another process"):
        await run(store, ledger, CLAIMS)
    assert [step async for step in steps][1:] == []


@pytest.mark.parametrize("had_meanwhile", [False, True])
async def test_a_rebuild_that_was_slower_than_its_lease_goes_on_unless_another_had_it(
    store: Store, ledger: Ledger, caught_up: None, monkeypatch: pytest.MonkeyPatch, *, had_meanwhile: bool
) -> None:
    """A machine that is slow for a while does not cost hours of rebuilding; one whose place was taken stops."""
    monkeypatch.setattr(engine, "CATCH_UP", 20)
    monkeypatch.setattr(engine, "_PAGE", 20)
    monkeypatch.setattr(rebuild, "_RENEWED_AFTER", 0.0)
    before, at = await contents(store, ledger, CLAIMS), await place(store, ledger.keys, CLAIMS.name)
    steps = rebuild.rebuild(store, ledger, CLAIMS)
    await anext(steps)
    duty = f"rebuild:{CLAIMS.name}"
    await store.hset(ledger.keys.lease(duty), "until", 0)
    if had_meanwhile:
        async with Lease(store, ledger.keys, duty) as other:
            assert await other.acquire()
        with pytest.raises(RebuildRefused, match="away too long"):
            [step async for step in steps]
    else:
        assert len([step async for step in steps]) > 1
    live = await place(store, ledger.keys, CLAIMS.name)
    assert (at.generation + (not had_meanwhile), before) == (live.generation, await contents(store, ledger, CLAIMS))
    assert {str(live.generation)} == await generations(store, ledger, CLAIMS)


async def test_a_lease_is_one_holders_and_its_token_grows(store: Store, ledger: Ledger) -> None:
    """A duty is held by one, renewed by it, handed over when given back or expired, with a higher token each time."""
    first, second = (Lease(store, ledger.keys, "duty", seconds=60) for _ in range(2))
    assert (await first.acquire(), await second.acquire(), await first.acquire()) == (True, False, True)
    assert (first.token, second.token) == (1, 0)
    await first.release()
    assert await second.acquire()
    assert second.token == 2
    await store.hset(ledger.keys.lease("duty"), "until", 0)  # as if it had been away too long
    assert await first.acquire()
    assert first.token == 3
    assert not await second.acquire()
