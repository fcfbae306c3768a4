"""Protected sources: what is said in confidence is nowhere in clear, opens for those who may, and can be erased."""

import asyncio
import contextlib
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import msgspec
import pytest

import events.store
from events import keys
from events.identifiers import derived_id, new_id
from events.ledger import Ledger
from events.store import Store
from service import embedded
from service.app import open_vault
from service.auth.keys import new_key
from service.settings import Settings
from tests.e2e.live import LIVE, Live
from tests.e2e.receiving import receiving
from tests.e2e.test_serve import Terminal, free_port, stop

PERSON = derived_id("person", "editor")
NAMES = ("Zebulon Quagmire", "+49 30 5550199", "Żółć Ґалаґан", "met behind the mill", "Henrietta Featherstone")
IDENTITY = {"identity": NAMES[0], "contact": NAMES[1], "note": NAMES[2]}
NOTE = {"note": NAMES[3]}
JUDGED = {"by_name": NAMES[4], "note": NAMES[3]}
AS_LINES = {"Accept": "application/x-ndjson"}


class Newsroom(msgspec.Struct):
    """A client of the API with a protected source, and a claim with something in confidence wherever it can be."""

    api: httpx2.AsyncClient
    story: str = ""
    source: str = ""
    claim: str = ""
    evidence: str = ""
    after: str = ""
    answers: list[str] = []
    """Whatever was answered to a write."""

    async def post(self, path: str, body: object, status: int = 201, **headers: str) -> Any:
        """Record something, and return the receipt."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = await self.api.post(path, json=body, headers=named)
        assert status == answer.status_code, answer.text
        self.after = answer.headers.get("Onrecord-After", self.after)
        self.answers.append(answer.text)
        return answer.json()

    async def get(self, path: str, key: str = "", **headers: str) -> httpx2.Response:
        """Read something as it is after the last write, with the bootstrap key or another one."""
        headers |= {"Onrecord-After": self.after} | ({"Authorization": f"Bearer {key}"} if key else {})
        return await self.api.get(path, headers=headers)

    async def record_everything(self) -> None:
        """Say something in confidence with each request that takes it."""
        self.story = (await self.post("/v1/stories", {"title": "The mill"}))["id"]
        protected = {"name": "source in the mill", "kind": "person", "identity": "known_to_desk"}
        self.source = (await self.post("/v1/sources", protected | {"confidential": IDENTITY}))["id"]
        told = {"confidential": IDENTITY | {"note": NAMES[3]}}
        await self.api.patch(f"/v1/sources/{self.source}", json=told, headers={"If-Match": "*"})
        said = {"speaker_id": self.source, "stance": "asserts", "confidential": NOTE}
        claim = {"story_id": self.story, "text": "It burned.", "first_statement": said}
        self.claim = (await self.post("/v1/claims", claim))["id"]
        where = f"/v1/claims/{self.claim}"
        await self.post(f"{where}/statements", said | {"stance": "confirms"})
        film = {"kind": "video", "bearing": "supports", "description": "Smoke.", "confidential": NOTE}
        self.evidence = (await self.post(f"{where}/evidence", film))["id"]
        await self.post(
            f"/v1/evidence/{self.evidence}/authentication", {"method": "m", "by": PERSON, "confidential": JUDGED}
        )
        asked = {"source_id": self.source, "deadline": "2090-01-01", "confidential": NOTE}
        inquiry = (await self.post(f"{where}/inquiries", asked))["id"]
        await self.post(f"/v1/inquiries/{inquiry}/answer", {"statement": said | {"stance": "comments"}})
        judged = {"verdict": "verified", "rationale": "r", "by": PERSON, "confidential": JUDGED}
        await self.post(f"{where}/assessments", judged)

    async def refused(self) -> None:
        """Say something in confidence in requests that are refused."""
        said = {"speaker_id": self.source, "stance": "asserts", "confidential": NOTE}
        await self.post(f"/v1/claims/{new_id('claim')}/statements", said, 404)
        await self.post(f"/v1/claims/{self.claim}/statements", said | {"stance": "hopes"}, 422)
        await self.post("/v1/stories", {"title": "t", "confidential": NOTE}, 422)
        await self.post("/v1/sources", {"name": "n", "kind": "person", "confidential": {"note": [NAMES[3]]}}, 422)


def confidences(content: Any) -> Iterator[Any]:
    """Yield what was said in confidence, wherever it is in an answer: a value, or None where it is erased."""
    if isinstance(content, list):
        for each in content:
            yield from confidences(each)
    elif isinstance(content, dict):
        if "confidential" in content:
            yield content["confidential"]
            assert (content["confidential"] is None) == bool(content.get("erased"))
        for name, each in content.items():
            if name != "confidential":
                yield from confidences(each)


def assert_nothing_in(content: bytes, where: object) -> None:
    """Look for each planted name, as it is and as JSON may write it."""
    for name in NAMES:
        for written in (name, json.dumps(name)[1:-1], hashlib.sha256(name.encode()).hexdigest()):
            assert written.encode() not in content, f"{name} is in {where}"


async def everything_in(store: Store) -> AsyncIterator[tuple[bytes, bytes]]:
    """Yield every key of a store with its value, as the server writes it out and as it is read."""
    async for key in store.scan_iter():
        reading = {
            b"string": ("GET", key),
            b"hash": ("HGETALL", key),
            b"list": ("LRANGE", key, 0, -1),
            b"set": ("SMEMBERS", key),
            b"zset": ("ZRANGE", key, 0, -1),
            b"stream": ("XRANGE", key, "-", "+"),
        }
        value = await store.execute_command(*reading[await store.type(key)])
        yield key, value if isinstance(value, bytes) else _joined(value)


def _joined(value: Any) -> bytes:
    """Return the bytes in a value, however they are nested."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, dict):
        value = [part for item in value.items() for part in item]
    return b"\n".join(map(_joined, value)) if isinstance(value, list | tuple | set) else str(value).encode()


def files_of(home: Path) -> dict[Path, bytes]:
    """Return what every file of a home holds, and what is packed in those of the archive."""
    held = {path: path.read_bytes() for path in home.rglob("*") if path.is_file()}
    return {path: gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw for path, raw in held.items()}


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal whose processes end with the test."""
    terminal = Terminal(tmp_path / "home")
    yield terminal
    terminal.close()


class Service(msgspec.Struct):
    """A service in a process of its own, where everything was said in confidence, and what it printed so far."""

    terminal: Terminal
    room: Newsroom
    store: Store
    ordinary: str
    """A key without the scope for what is confidential."""
    printed: str
    metrics: int
    """The port of its metrics."""

    async def run(self, *words: str, **environment: str) -> str:
        """Run a command, and return what it printed."""
        done = await asyncio.to_thread(self.terminal.run, *words, **environment)
        assert done.returncode == 0, done.stderr
        return done.stdout + done.stderr

    async def documents(self, key: str) -> dict[str, bytes]:
        """Return every document about the source and its claim as a key shows it, in lists and at moments too."""
        room = self.room
        claim = f"/v1/claims/{room.claim}"
        paths = (f"/v1/sources/{room.source}", claim, "/v1/sources", "/v1/claims", f"{claim}?as_of={room.after}")
        lists = (f"/v1/claims?story={room.story}", f"/v1/claims?story={room.story}&as_of={room.after}")
        return {path: (await room.get(path, key)).content for path in (*paths, *lists)}


@pytest.fixture
async def service(terminal: Terminal) -> AsyncIterator[Service]:
    """Run ``onrecord serve`` at its most talkative; at the end, nothing in confidence may have been printed."""
    metrics = free_port()
    terminal.environment |= {"ONRECORD_LOG_LEVEL": "debug", "ONRECORD_METRICS_PORT": str(metrics)}
    terminal.environment["ONRECORD_WEBHOOK_ALLOW"] = "127.0.0.0/8"
    process, printed = await asyncio.to_thread(terminal.start, "serve")
    bootstrap = (terminal.home / "bootstrap.key").read_text().strip()
    headers = {"Authorization": f"Bearer {bootstrap}"}
    store = events.store.connect(embedded.url_of(terminal.home))
    async with (
        contextlib.aclosing(store),
        httpx2.AsyncClient(base_url=f"http://127.0.0.1:{terminal.port}", headers=headers, timeout=20) as api,
    ):
        service = Service(terminal, Newsroom(api), store, await new_key(store, "main"), printed, metrics)
        await service.room.record_everything()
        await service.room.refused()
        yield service
    service.printed += await asyncio.to_thread(stop, process)
    assert_nothing_in(service.printed.encode(), "what was printed")
    assert "was erased from it" not in service.printed  # which would say that a log was not written anew


async def test_planted_names_are_nowhere_but_in_answers_to_who_may_read_them(service: Service) -> None:
    """Not in the files of the store, its keys, the log, the feeds, any document, dump or output of the processes."""
    room = service.room
    opened = {path: list(confidences(json.loads(raw))) for path, raw in (await service.documents("")).items()}
    source, claim, sources, *_, at_moment = opened.values()
    assert [[IDENTITY | {"note": NAMES[3]}]] * 2 == [source, sources]
    assert [claim, at_moment] == [[NOTE, JUDGED, JUDGED, NOTE, NOTE, NOTE, NOTE]] * 2

    public = await service.documents(service.ordinary)
    assert all(b"sealed" not in content for content in public.values())
    raw = [(await room.get("/v1/events?limit=200")).content, (await room.get("/v1/events", **AS_LINES)).content]
    raw.append((await room.get(f"/v1/claims/{room.claim}/history")).content)
    assert all(b'"sealed":{"kid":' in content for content in raw)
    service.printed += await service.run("events")
    service.printed += await service.run("claims", "--json", ONRECORD_KEY=service.ordinary)

    held = {key: value async for key, value in everything_in(service.store)}
    assert keys.vault("main", room.source).encode() in held
    files = files_of(service.terminal.home)
    assert any("appendonlydir" in str(path) for path in files)
    for where, content in [*held.items(), *files.items(), *public.items()]:
        assert_nothing_in(content, where)
    for content in (*raw, *(answer.encode() for answer in room.answers)):
        assert_nothing_in(content, "an answer")


async def test_planted_names_leave_by_no_other_door(service: Service) -> None:
    """Not by webhooks in any format nor their log, the live feed, dumps, audits, metrics, readiness or the archive."""
    room, formats = service.room, ("cloudevents", "slack", "teams")
    async with receiving() as receiver, asyncio.timeout(60):
        hooks = [
            (await room.post("/v1/webhooks", {"url": receiver.url(f"/{each}"), "format": each, "verify": False}))["id"]
            for each in formats
        ]
        await room.record_everything()
        while {each.path for each in receiver.events if room.claim.encode() in each.body} < {
            f"/{it}" for it in formats
        }:
            await receiver.until(len(receiver.events) + 1)
        seen = {f"a delivery to {each.path}": each.body for each in receiver.events}
        for hook in hooks:
            seen[f"deliveries of {hook}"] = (await room.get(f"/v1/webhooks/{hook}/deliveries")).content
            assert b'"items":[{' in seen[f"deliveries of {hook}"]
            seen[hook] = (await room.get(f"/v1/webhooks/{hook}")).content
        bodies = [each.body for each in receiver.events]

    epoch, _, head = room.after.partition(".")
    resumed = LIVE | {"Last-Event-ID": f"{epoch}.0"}
    async with room.api.stream("GET", "/v1/events", headers=resumed) as response:
        bodies += [told.data for told in await Live(response).take(int(head))]
    state = await room.get(f"/v1/audit/state?story={room.story}&as_of={head}")
    seen |= {
        "export": (await service.run("export")).encode(),
        "state": state.content,
        "readyz": (await room.get("/readyz")).content,
        "metrics": (await room.api.get(f"http://127.0.0.1:{service.metrics}/metrics")).content,
    }
    assert room.claim.encode() in seen["export"]
    assert room.claim.encode() in seen["state"]
    assert b'onrecord_ledger_head{ledger="main"}' in seen["metrics"]
    async with asyncio.timeout(30):
        while not (packed := _bundles(service.terminal.home, room.claim)):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.05)
    for where, content in (*seen.items(), *packed.items(), *(("what was sent", body) for body in bodies)):
        assert_nothing_in(content, where)


def _bundles(home: Path, naming: str) -> dict[Path, bytes]:
    """Return the bundles of an archive in which something is named, unpacked."""
    return {path: raw for path, raw in files_of(home / "archive").items() if naming.encode() in raw}


async def test_an_erased_source_is_forgotten_and_the_rest_replays_to_the_same(service: Service) -> None:
    """What was sealed for it opens nowhere, what was sealed for others does; its wrapped key is in no file any more.

    The projections come out the same when they are made anew from the log, which says that it was erased.
    """
    room = service.room
    where, claim = f"/v1/sources/{room.source}", f"/v1/claims/{room.claim}"
    public, digests = await service.documents(service.ordinary), await _digests(service.store)
    wrapped = await service.store.get(keys.vault("main", room.source))
    assert any(wrapped in content for content in files_of(service.terminal.home).values())

    erased = await service.run("sources", "erase", room.source, "--reason", "It asked us to.")
    assert f"{room.source} is erased.\n" == erased
    assert f"{room.source} was erased before.\n" == await service.run("sources", "erase", room.source)
    log = (await room.get("/v1/events?limit=200")).json()["events"]
    (event,) = [each for each in log if each["type"] == "subject.erased"]
    assert {"subject_id": room.source, "reason": "It asked us to."} == event["data"]
    room.after = f"{room.after.partition('.')[0]}.{int(event['sequence'])}"

    assert list(confidences((await room.get(where)).json())) == [None]
    assert event["recordedtime"] == (await room.get(where, service.ordinary)).json()["erased"]
    left = [each for each in confidences((await room.get(claim)).json()) if each]
    assert left == [NOTE, JUDGED, JUDGED]
    assert public[claim] == (await room.get(claim, service.ordinary)).content
    async with asyncio.timeout(30):
        while any(wrapped in content for content in files_of(service.terminal.home).values()):  # noqa: ASYNC110 - files
            await asyncio.sleep(0.05)

    after, then = await service.documents(service.ordinary), await _digests(service.store)
    for name in digests:
        await service.run("rebuild", name)
    assert after == await service.documents(service.ordinary)
    assert then == await _digests(service.store)
    assert digests | {"sources": then["sources"]} == then


async def _digests(store: Store) -> dict[str, bytes | None]:
    """Return the digest of each projection's live generation."""
    found = {}
    for name in ("sources", "claims", "stories", "inquiries", "parts", "publications"):
        place = await store.hgetall(keys.LedgerKeys("main").projection(name))
        found[name] = place[b"digest:" + place[b"generation"]]
    return found


async def test_another_secret_key_is_one_clear_line_at_the_start(terminal: Terminal) -> None:
    """The service does not run beside a vault that it cannot open, and shows no key."""
    process, _ = await asyncio.to_thread(terminal.start, "serve")
    await asyncio.to_thread(stop, process)
    wrong = "ab" * 32
    refused = await asyncio.to_thread(terminal.run, "serve", ONRECORD_SECRET_KEY=wrong)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (1, 1)
    assert "onrecord: ONRECORD_SECRET_KEY is not the secret key that the vault of ledger main" in refused.stderr
    malformed = await asyncio.to_thread(terminal.run, "serve", ONRECORD_SECRET_KEY="hunter2")  # noqa: S106 - a wrong one
    assert "onrecord: ONRECORD_SECRET_KEY is no secret key" in malformed.stderr
    assert "hunter2" not in malformed.stderr + malformed.stdout
    (terminal.home / "secret.key").unlink()
    lost = await asyncio.to_thread(terminal.run, "serve")
    assert f"is not here: give it in ONRECORD_SECRET_KEY or in {terminal.home}/secret.key" in lost.stderr


@pytest.fixture
async def room(api: httpx2.AsyncClient) -> Newsroom:
    """A newsroom where everything was said in confidence."""
    room = Newsroom(api)
    await room.record_everything()
    return room


async def test_what_is_opened_is_not_kept_and_not_answered_304(room: Newsroom, store: Store, ledger: Ledger) -> None:
    """A claim's document does not change when its speaker is erased: nobody may rely on what they read before."""
    where = f"/v1/claims/{room.claim}"
    for path in (where, "/v1/claims", f"{where}?as_of=1000"):
        assert (await room.get(path)).headers["Cache-Control"] == "no-store"
    tag = (await room.get(where)).headers["ETag"]
    assert (await room.get(where, **{"If-None-Match": tag})).status_code == 200
    ordinary = await new_key(store, ledger.name)
    assert (await room.get(where, ordinary, **{"If-None-Match": tag})).status_code == 304


async def test_a_repeated_request_is_recognised_and_its_hash_tells_nothing(
    room: Newsroom, ledger: Ledger, settings: Settings
) -> None:
    """The same words get the same receipt, also once the speaker is erased; other words under the key are refused."""
    said = {"speaker_id": room.source, "stance": "asserts", "confidential": NOTE}
    where, once = f"/v1/claims/{room.claim}/statements", {"Idempotency_Key": "once"}
    first = await room.post(where, said, **once)
    assert first == await room.post(where, said, **once)
    other = await room.post(where, said | {"confidential": {"note": "other"}}, 422, **once)
    assert other["type"] == "/problems/idempotency-conflict"
    without = await room.post(where, {"speaker_id": room.source, "stance": "asserts"}, 422, **once)
    assert without["type"] == "/problems/idempotency-conflict"
    await room.post(f"/v1/sources/{room.source}/erasure", {})
    assert first == await room.post(where, said, **once)
    (entry,) = await ledger.at(iter([first["events"][0]["position"]]))
    given = {"speaker_id": room.source, "stance": "asserts"}
    guesses = [("recordStatement", room.claim, given, NOTE), ("recordStatement", room.claim, said)]
    hashes = {hashlib.sha256(msgspec.json.encode(guess)).hexdigest() for guess in guesses}
    assert entry.envelope.commandhash not in hashes
    secret = settings.secret_key_path.read_bytes()
    assert secret not in entry.raw


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"sealed": {"kid": "k", "nonce": "AAAAAAAAAAAAAAAA", "ct": "AAAA"}}, "/sealed"),
        ({"confidential": {"note": 1}}, "/confidential/note"),
        ({"confidential": {"nick": "n"}}, "/confidential/nick"),
        ({"confidential": {"note": ""}}, "/confidential/note"),
        ({"confidential": {"note": "x" * 10_001}}, "/confidential/note"),
        ({"confidential": {"note": "Ж" * 9_000}}, "/confidential"),
        ({"confidential": {}}, "/confidential"),
        ({"confidential": "name"}, "/confidential"),
    ],
)
async def test_what_cannot_be_said_in_confidence_is_pointed_at(room: Newsroom, body: Any, pointer: str) -> None:
    """In a body itself, and in a statement inside of one; ``sealed`` is ours alone to write, however it is spelled."""
    said = {"speaker_id": room.source, "stance": "asserts"} | body
    refused = await room.post(f"/v1/claims/{room.claim}/statements", said, 422)
    assert [pointer] == [error["pointer"] for error in refused["errors"]]
    claim = {"story_id": room.story, "text": "t", "first_statement": said}
    refused = await room.post("/v1/claims", claim, 422)
    assert [f"/first_statement{pointer}"] == [error["pointer"] for error in refused["errors"]]


async def test_an_escaped_name_is_the_same_name(room: Newsroom) -> None:
    r"""``\u0073ealed`` is ``sealed``, and ``\u0063onfidential`` says something in confidence."""
    where = f"/v1/claims/{room.claim}/statements"
    json_ = {"Content-Type": "application/json"}
    said = '{"speaker_id":"%s","stance":"asserts",%s}'
    sealed = '"\\u0073ealed":{"kid":"k","nonce":"AAAAAAAAAAAAAAAA","ct":"AAAA"}'
    answer = await room.api.post(where, content=said % (room.source, sealed), headers=json_)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/sealed")
    escaped = f'"\\u0063onfidential":{{"note":"{NAMES[0]}"}}'
    answer = await room.api.post(where, content=said % (room.source, escaped), headers=json_)
    assert answer.status_code == 201
    assert_nothing_in(answer.content, "the receipt")


async def test_an_erased_source_stays_on_record_and_is_told_nothing_more(room: Newsroom) -> None:
    """It can be graded, described and quoted; nothing can be said in confidence about it, by whatever request."""
    where, said = f"/v1/sources/{room.source}", {"speaker_id": room.source, "stance": "asserts"}
    state = (await room.get(f"/v1/claims/{room.claim}")).json()["standing"]
    receipt = await room.post(f"{where}/erasure", {"reason": "It asked us to."})
    assert (room.source, ["subject.erased"]) == (receipt["id"], [each["type"] for each in receipt["events"]])
    assert state == (await room.get(f"/v1/claims/{room.claim}")).json()["standing"]
    for path, body in (
        (f"/v1/claims/{room.claim}/statements", said | {"confidential": NOTE}),
        ("/v1/claims", {"story_id": room.story, "text": "t", "first_statement": said | {"confidential": NOTE}}),
    ):
        refused = await room.post(path, body, 422)
        assert (refused["type"], f"{room.source} was erased" in refused["detail"]) == ("/problems/rule-broken", True)
        at = "/first_statement/confidential" if "text" in body else "/confidential"
        assert [error["pointer"] for error in refused["errors"]] == [at]
    await room.post(f"{where}/grades", {"reliability": "B", "rationale": "r", "by": PERSON})
    renamed = await room.api.patch(where, json={"name": "a source"}, headers={"If-Match": "*"})
    assert renamed.status_code == 200
    await room.post(f"/v1/claims/{room.claim}/statements", said)
    document = (await room.get(where)).json()
    assert tuple(document["source"][name] for name in ("name", "reliability", "confidential")) == (
        "a source",
        "B",
        None,
    )


async def test_an_erasure_that_was_cut_off_is_finished_by_doing_it_again(
    room: Newsroom, store: Store, settings: Settings
) -> None:
    """A crash after the key was deleted leaves a source that nobody can open; the next request records that."""
    where = f"/v1/sources/{room.source}"
    vault = await open_vault(store, settings, settings.ledger)
    await vault.erase(room.source)
    await room.post(f"{where}/erasure", {}, Idempotency_Key="erase")
    assert "erased" in (await room.get(where)).json()
    await room.post(f"{where}/erasure", {}, Idempotency_Key="erase")
    refused = await room.post(f"{where}/erasure", {}, 409)
    assert refused["type"] == "/problems/already-recorded"


async def test_whoever_may_not_erase_does_not_and_what_is_not_there_is_not_erased(
    room: Newsroom, store: Store, ledger: Ledger, settings: Settings
) -> None:
    """A key needs the scope; a wrong identifier or version deletes nothing."""
    where = f"/v1/sources/{room.source}/erasure"
    ordinary = {"Authorization": f"Bearer {await new_key(store, ledger.name)}"}
    forbidden = await room.api.post(where, json={}, headers=ordinary)
    assert (forbidden.status_code, forbidden.json()["type"]) == (403, "/problems/forbidden")
    assert (await room.api.post(where, json={}, headers={"If-Match": f'"{ledger.epoch}.9.1"'})).status_code == 412
    for kind, subject in (
        ("sources", new_id("source")),
        ("sources", room.claim),
        ("persons", derived_id("person", "nobody")),
        ("persons", room.source),
        ("evidence", new_id("evidence")),
        ("evidence", room.source),
    ):
        await room.post(f"/v1/{kind}/{subject}/erasure", {}, 404)
        assert subject == room.source or not await (await open_vault(store, settings, settings.ledger)).knows(subject)
    assert [IDENTITY | {"note": NAMES[3]}] == list(confidences((await room.get(f"/v1/sources/{room.source}")).json()))


async def test_a_person_and_a_piece_of_evidence_are_erased_likewise(room: Newsroom) -> None:
    """Each by itself: the name and notes of who judged; the note on what nobody is known to have supplied."""
    where = f"/v1/claims/{room.claim}"
    await room.post(f"/v1/persons/{PERSON}/erasure", {})
    document = (await room.get(where)).json()
    assert list(confidences(document["assessments"])) == [None]
    assert list(confidences(document["evidence"])) == [NOTE, None]
    await room.post(f"/v1/evidence/{room.evidence}/erasure", {})
    document = (await room.get(where)).json()
    assert list(confidences(document["evidence"])) == [None, None]
    assert list(confidences(document["statements"])) == [NOTE, NOTE, NOTE]


async def test_a_change_replaces_or_clears_what_was_said_in_confidence(room: Newsroom) -> None:
    """Left out it stays, null clears it; a change of nothing else is a change."""
    where = f"/v1/sources/{room.source}"

    async def changed(changes: Any) -> list[Any]:
        answer = await room.api.patch(where, json=changes, headers={"If-Match": "*"})
        assert answer.status_code == 200, answer.text
        room.after = answer.headers["Onrecord-After"]
        return list(confidences((await room.get(where)).json()))

    assert [IDENTITY | {"note": NAMES[3]}] == await changed({"name": "another pseudonym"})
    assert [{"contact": NAMES[1]}] == await changed({"confidential": {"contact": NAMES[1]}})
    assert await changed({"confidential": None}) == []
