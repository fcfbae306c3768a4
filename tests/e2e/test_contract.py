"""The contract as a stranger sees it: what is served is what is kept, what is recorded is as its schema says."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from jsonschema import Draft202012Validator
from jsonschema.protocols import Validator

from events.schemas import ENVELOPE
from service.load import _ENTRIES, load, read_story
from service.verification.commands import Recorder
from tests.conftest import ROOT

EVERY_KIND = Path(__file__).parent / "every-kind.json"

SCHEMA_TYPE = "application/schema+json"


@pytest.fixture
async def stranger(api: httpx2.AsyncClient) -> AsyncIterator[httpx2.AsyncClient]:
    """A client without a key."""
    async with httpx2.AsyncClient(base_url=api.base_url, timeout=10) as client:
        yield client


async def _schema(stranger: httpx2.AsyncClient, name: str) -> Validator:
    answer = await stranger.get(f"/schemas/{name}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == SCHEMA_TYPE
    return Draft202012Validator(answer.json(), format_checker=Draft202012Validator.FORMAT_CHECKER)


async def test_every_event_is_as_its_schema_says(
    api: httpx2.AsyncClient, stranger: httpx2.AsyncClient, loaded: Recorder
) -> None:
    """Of two stories with every kind of entry, each event is valid by the envelope's schema and by its dataschema's."""
    async for part in load(read_story(EVERY_KIND), loaded):
        assert part.new
    schemas = {ENVELOPE: await _schema(stranger, ENVELOPE)}
    seen = set()
    lines = (await api.get("/v1/events", headers={"Accept": "application/x-ndjson"})).text.splitlines()
    for line in lines:
        event = json.loads(line)
        name = event["dataschema"].removeprefix("urn:onrecord:schema:").replace(":", ".")
        schemas[name] = schemas.get(name) or await _schema(stranger, name)
        schemas[ENVELOPE].validate(event)
        schemas[name].validate(event["data"])
        seen.add(event["type"])
    assert {entry.event.TYPE for entry in _ENTRIES.values()} <= seen


async def test_what_is_served_is_what_is_kept(stranger: httpx2.AsyncClient) -> None:
    """The description and the schemas of a running service are, byte for byte, the files in openapi/."""
    kept = ROOT / "openapi"
    assert kept.joinpath("openapi.json").read_bytes() == (await stranger.get("/openapi.json")).content
    for path in kept.joinpath("schemas").iterdir():
        assert path.read_bytes() == (await stranger.get(f"/schemas/{path.stem}")).content


async def test_the_address_of_the_service_shows_its_documentation(stranger: httpx2.AsyncClient) -> None:
    """Whoever opens in a browser what `onrecord serve` prints sees the page that is at /docs, too."""
    front, page = await stranger.get("/"), await stranger.get("/docs")
    assert (200, "text/html; charset=utf-8", page.content) == (
        front.status_code, front.headers["content-type"], front.content,
    )  # fmt: skip


async def test_a_schema_that_there_is_not(stranger: httpx2.AsyncClient) -> None:
    """A name that no event type and version has is a problem, and says so."""
    answer = await stranger.get("/schemas/claim.invented.1")
    assert (answer.status_code, answer.json()["type"]) == (404, "/problems/not-found")


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("sate=contested", "there is no parameter 'sate' here; there is after, as_of"),
        ("state=contsted", "state: 'contsted' is none of contested, corroborated, denied,"),
        ("flag=declared&flag=nonsense", "flag: 'nonsense' is none of "),
        ("story=il76", "story: Expected `str` matching regex"),
        ("party=The Russians", "party: Expected `str` matching regex"),
        (f"text={'long ' * 50}", "text: Expected `str` of length <= 200"),
    ],
)
async def test_a_filter_that_cannot_be_heeded_is_refused(api: httpx2.AsyncClient, query: str, says: str) -> None:
    """A list is never given as if a filter had been applied that was misspelt or can match nothing."""
    answer = await api.get(f"/v1/claims?{query}")
    assert answer.status_code == 400, answer.text
    assert answer.json()["type"] == "/problems/bad-request"
    assert says in answer.json()["detail"]
