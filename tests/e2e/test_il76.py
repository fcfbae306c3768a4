"""The Il-76 story over the whole way: from the file to states read over REST. States, flags and digits are exact."""

from typing import Any

import httpx2
import pytest

from events.envelope import Cursor
from events.identifiers import derived_id
from events.ledger import Ledger
from service.load import StoryFile, load
from service.verification.commands import Recorder

# flags that come often
CNBV, INT, NES = "could_not_be_verified", "interested_parties_only", "no_evidence_supplied"
ONE, INV = "single_origin", "under_investigation"

BEFORE_THE_STEPS: dict[str, tuple[str, list[str], int]] = {
    "shot-down": ("unverified", [CNBV, INT, NES, ONE, INV], 6),
    "radar": ("unverified", [CNBV, INT, NES, ONE], 6),
    "fell": ("unverified", [ONE], 3),
    "aboard": ("unverified", [CNBV, INT, ONE], 6),
    "killed": ("unverified", [INT, ONE], 6),
    "pows": ("unverified", [CNBV, INT, ONE, INV], 6),
    "crew": ("unverified", [CNBV, ONE], 3),
    "time": ("unverified", [ONE], 3),
    "route": ("unverified", [ONE], 3),
    "swap-planned": ("corroborated", [], 2),
    "swap-place": ("unverified", [ONE], 3),
    "swap-off": ("unverified", [ONE], 3),
    "responders": ("unverified", [ONE, "unnamed_source"], 6),
    "commission": ("unverified", ["declared", ONE], 3),
    "alert": ("unverified", [INT, ONE], 6),
    "info-ops": ("unverified", [INT, ONE], 6),
    "command-planes": ("unverified", [INT, ONE], 6),
    "tuesday": ("unverified", [INT, ONE], 6),
    "barrage-size": ("unverified", [INT, ONE], 6),
    "buildings": ("unverified", [INT, ONE], 6),
    "s300": ("unverified", [INT, ONE], 6),
    "civilians": ("contested", ["denied_by_interested_party", NES, ONE], 3),
    "drones": ("unverified", [INT, "partially_confirmed", ONE], 6),
    "drone-belgorod": ("unverified", [INT, ONE], 6),
    "missiles-abroad": ("unverified", [ONE], 3),
    "decoys": ("unverified", [ONE], 3),
    "helicopters": ("unverified", ["declared", ONE], 3),
    "capacity": ("unverified", [ONE], 3),
}

STEPS: list[dict[str, tuple[str, list[str], int]]] = [
    {"fell": ("corroborated", [], 1)},
    {"civilians": ("verified", ["denied_by_interested_party", NES, ONE], 1)},
    {},
    {"pows": ("unverified", [CNBV, "figures_disagree", INT, "origin_unknown", "partially_confirmed", ONE, INV], 6)},
]


async def _standings(api: httpx2.AsyncClient, after: Cursor) -> dict[str, tuple[str, list[str], int]]:
    """Return state, flags and digit of every claim of the story, by the file's keys, as the API shows them."""
    keys = {derived_id("claim", "il76", key): key for key in BEFORE_THE_STEPS}
    story = derived_id("story", "il76")
    page = await api.get("/v1/claims", params={"story": story, "limit": 200}, headers={"Onrecord-After": str(after)})
    assert page.status_code == 200, page.text
    assert page.json()["next_after"] is None
    return {keys[item["id"]]: _standing(item["standing"]) for item in page.json()["items"]}


def _standing(standing: dict[str, Any]) -> tuple[str, list[str], int]:
    return standing["state"], standing["flags"], standing["credibility"]


@pytest.mark.parametrize("steps", range(5))
async def test_every_claim_stands_where_the_rules_say(
    api: httpx2.AsyncClient, ledger: Ledger, recorder: Recorder, il76: StoryFile, steps: int
) -> None:
    """After the day's reporting, and after each of the four steps, all 28 claims stand exactly as expected."""
    upto = StoryFile(il76.key, il76.items[: len(il76.items) - len(STEPS) + steps])
    async for part in load(upto, recorder):
        assert part.new
    expected = dict(BEFORE_THE_STEPS)
    for step in STEPS[:steps]:
        expected |= step
    standings = await _standings(api, ledger.cursor((await ledger.head()).position))
    assert {key: (state, sorted(flags), digit) for key, (state, flags, digit) in expected.items()} == standings


async def test_loading_twice_records_nothing_twice(ledger: Ledger, loaded: Recorder, il76: StoryFile) -> None:
    """A second load finds every part there and leaves the ledger as it is."""
    before = await ledger.head()
    assert [False] * len(il76.items) == [part.new async for part in load(il76, loaded)]
    assert before == await ledger.head()


async def test_the_denial_of_civilians_stays_on_the_record(
    api: httpx2.AsyncClient, ledger: Ledger, loaded: Recorder
) -> None:
    """An assessment outranks a denial and does not remove it."""
    claim_id = derived_id("claim", "il76", "civilians")
    after = str(ledger.cursor((await ledger.head()).position))
    claim = (await api.get(f"/v1/claims/{claim_id}", headers={"Onrecord-After": after})).json()
    assert claim["standing"]["state"] == "verified"
    assert claim["stances"] == {"asserts": 1, "denies": 1}
    assert claim["standing"]["because"]["reasons"]["denial"]["total"] == 1
