"""A newsroom to test with: a client of the API that has a story and sources, and sees its own writes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvicorn

import events.store
from events.identifiers import derived_id
from events.ledger import Ledger
from events.store import Store
from service.api.http.connection import Connection
from service.app import archives_of, create_app
from service.audit import log_key
from service.reassessor import Reassessor
from service.settings import Settings
from service.timers import Timers
from service.verification.commands import Recorder
from service.worker import Worker
from tests.e2e.receiving import Receiver, receiving

PERSON = derived_id("person", "editor")
SECOND = derived_id("person", "second editor")
CAST: dict[str, dict[str, Any]] = {
    "witness": {"kind": "person"},
    "neighbour": {"kind": "person"},
    "red": {"kind": "government", "parties": ["red"]},
    "blue": {"kind": "government", "parties": ["blue"]},
    "green": {"kind": "government", "parties": ["green"]},
    "leak": {"kind": "anonymous"},
    "outlet": {"kind": "outlet"},
}
"""Sources that a newsroom knows from the start. Red and blue are the parties of its story."""


@contextlib.asynccontextmanager
async def serving(settings: Settings, headers: Mapping[str, str]) -> AsyncIterator[httpx2.AsyncClient]:
    """Serve another API beside the one that every test has, and yield a client of it that sends these headers."""
    app = create_app(settings)
    server = uvicorn.Server(uvicorn.Config(app, port=0, http=Connection, log_config=None, lifespan="on"))
    running = asyncio.create_task(server.serve())
    while not server.started:
        assert not running.done()
        await asyncio.sleep(0)
    where = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    async with httpx2.AsyncClient(base_url=where, headers=headers, timeout=10) as client:
        yield client
    server.should_exit = True
    await running


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """An endpoint."""
    async with receiving() as receiver:
        yield receiver


def missing(key: str) -> str:
    """Return an identifier like this one that nothing has."""
    return key[:-1] + ("1" if key.endswith("0") else "0")


class Newsroom:
    """A client of the API that remembers its last write, so that it reads what it wrote."""

    def __init__(self, api: httpx2.AsyncClient, ledger: Ledger, store: Store, recorder: Recorder) -> None:
        self.api, self.ledger, self.recorder, self.store = api, ledger, recorder, store
        self.reassessor, self.timers = Reassessor(store, ledger, recorder), Timers(store, ledger, recorder)
        self.story, self.after = "", ""
        self.sources: dict[str, str] = {}

    async def open(self) -> None:
        """Open the story and register the cast."""
        opened = await self.post("/v1/stories", {"title": "A crash", "parties": ["red", "blue"]})
        self.story = opened["id"]
        for name, more in CAST.items():
            await self.source(name, **more)

    async def send(self, method: str, path: str, body: object, **headers: str) -> httpx2.Response:
        """Send a write, whatever comes of it; what needs a version is sent for any, unless one is named."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if method == "PATCH" or path.endswith(("/merge", "/unmerge", "/split")):
            named = {"If-Match": "*"} | named
        answer = await self.api.request(method, path, json=body, headers=named)
        self.after = answer.headers.get("Onrecord-After", self.after)
        return answer

    async def post(self, path: str, body: object, **headers: str) -> Any:
        """Record something, and return its receipt."""
        answer = await self.send("POST", path, body, **headers)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def patch(self, path: str, body: object, **headers: str) -> Any:
        """Change something, and return the receipt."""
        answer = await self.send("PATCH", path, body, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def refused(
        self, path: str, body: object, problem: str, pointer: str = "", *, method: str = "POST", **headers: str
    ) -> str:
        """Send a write that is refused and records nothing; return what the problem says."""
        before = await self.ledger.head()
        answer = await self.send(method, path, body, **headers)
        said = answer.json()
        assert (f"/problems/{problem}", answer.status_code) == (said.get("type"), said.get("status")), answer.text
        assert [pointer] == ([each["pointer"] for each in said.get("errors", [])] or [""]), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
        assert before == await self.ledger.head()
        return str(said["detail"])

    async def ask(self, path: str, **query: Any) -> httpx2.Response:
        """Read something as it is after the last write, whatever the answer."""
        return await self.api.get(path, params=query or None, headers={"Onrecord-After": self.after})

    async def get(self, path: str, **query: Any) -> Any:
        """Read something as it is after the last write."""
        answer = await self.ask(path, **query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def source(self, name: str, **more: Any) -> str:
        """Register a source, and return its identifier."""
        made = await self.post("/v1/sources", {"name": name, "kind": "person"} | more)
        self.sources[name] = made["id"]
        return str(made["id"])

    async def claim(self, text: str = "It fell.", *said: dict[str, Any], **more: Any) -> str:
        """Register a claim that serves red and harms blue, with what was said on it, and return its identifier."""
        body = {"story_id": self.story, "text": text, "serves": ["red"], "harms": ["blue"]} | more
        claim_id = str((await self.post("/v1/claims", body))["id"])
        for each in said:
            await self.post(f"/v1/claims/{claim_id}/statements", each)
        return claim_id

    def said(self, name: str = "witness", stance: str = "asserts", **more: Any) -> dict[str, Any]:
        """Return a statement."""
        return {"speaker_id": self.sources[name], "stance": stance} | more

    async def say(self, claim: str, name: str = "witness", stance: str = "asserts", **more: Any) -> str:
        """Record a statement, and return its identifier."""
        return str((await self.post(f"/v1/claims/{claim}/statements", self.said(name, stance, **more)))["id"])

    async def show(self, claim: str, bearing: str = "supports", **more: Any) -> str:
        """Add a film as evidence, and return its identifier."""
        film = {"kind": "video", "bearing": bearing, "description": "A film."} | more
        return str((await self.post(f"/v1/claims/{claim}/evidence", film))["id"])

    async def authenticate(self, evidence: str) -> Any:
        """Record that the desk found evidence authentic."""
        return await self.post(f"/v1/evidence/{evidence}/authentication", {"method": "Seen.", "by": PERSON})

    async def assess(self, claim: str, verdict: str = "verified", **more: Any) -> str:
        """Assess a claim, and return the assessment's identifier."""
        body = {"verdict": verdict, "rationale": "We looked.", "by": PERSON} | more
        return str((await self.post(f"/v1/claims/{claim}/assessments", body))["id"])

    async def read(self, claim: str, **query: Any) -> Any:
        """Read a claim."""
        return await self.get(f"/v1/claims/{claim}", **query)

    async def state(self, claim: str) -> str | None:
        """Return where a claim stands."""
        standing = (await self.read(claim)).get("standing")
        return standing["state"] if standing else None

    async def flags(self, claim: str) -> list[str]:
        """Return the flags of a claim."""
        return list((await self.read(claim))["standing"]["flags"])

    async def listed(self, path: str = "/v1/claims", **query: Any) -> list[str]:
        """Return the identifiers of a whole list, page by page."""
        found: list[str] = []
        query = {"limit": 3} | query
        while True:
            page = await self.get(path, **query)
            found += [item["id"] for item in page["items"]]
            if page["next_after"] is None:
                return found
            query["after"] = page["next_after"]

    async def follow_up(self) -> None:
        """Let the reassessor catch up, and read from then on what it made."""
        await self.reassessor.catch_up()
        await self.latest()

    async def until_expired(self) -> None:
        """Let the timers look again and again until an inquiry has expired, and read from then on what they made."""
        while not await self.timers.expire():  # noqa: ASYNC110 - nobody tells when a deadline passes
            await asyncio.sleep(0.02)
        await self.latest()

    async def latest(self) -> None:
        """Read from now on all that is on record now."""
        self.after = str(self.ledger.cursor((await self.ledger.head()).position))


async def sealed_up_to(api: httpx2.AsyncClient, position: int) -> None:
    """Wait until so many events are sealed."""
    async with asyncio.timeout(20):
        while True:
            answer = await api.get(f"/v1/events/{position}/proof")
            if answer.status_code == 200:
                return
            assert answer.json()["type"] == "/problems/not-sealed-yet"
            await asyncio.sleep(0.05)


@pytest.fixture
async def sealing(ledger: Ledger, store_url: str, settings: Settings, worker: Worker) -> AsyncIterator[Path]:
    """A worker that seals the ledger; the file with its log's keys."""
    client = events.store.connect(store_url)
    task = asyncio.create_task(Worker(client, await Ledger.open(client, ledger.name), archives_of(settings)).run())
    yield log_key.path_of(settings.home_path, ledger.name)
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
    await client.aclose()


@pytest.fixture
async def room(api: httpx2.AsyncClient, ledger: Ledger, store: Store, recorder: Recorder) -> Newsroom:
    """A newsroom with a story of red and blue, and its cast."""
    room = Newsroom(api, ledger, store, recorder)
    await room.open()
    return room
