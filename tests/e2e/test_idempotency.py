"""Sending a request again: every route that changes something, with the same key, later, differently, and malformed."""

from typing import Any, NamedTuple

import httpx2
import pytest
from litestar.routes import HTTPRoute

from service.app import create_app
from service.settings import Settings
from tests.e2e.conftest import PERSON, Newsroom

ELSEWHERE = {
    "skipEvent": "tests/e2e/test_projections.py: a projection has to have stopped",
    "createKey": "tests/e2e/test_keys.py: what it makes is shown once",
    "revokeKey": "tests/e2e/test_keys.py: doing it again changes nothing",
    "pingWebhook": "tests/e2e/test_webhooks.py: each is another ping",
    "resendDelivery": "tests/contract/test_deliverer.py: what is in a queue is there once",
    "recoverDeliveries": "tests/contract/test_deliverer.py: what was recovered is not dead any more",
    "replayWebhook": "tests/contract/test_deliverer.py: a second one is refused while one is under way",
    "endReplay": "tests/e2e/test_webhook_commands.py: there is none to end then",
}
"""Operations whose repetition is tested where what they need is made."""


HOOK = {"url": "https://93.184.216.34/hook", "verify": False, "filters": {"types": ["webhook.verified"]}}
"""An endpoint that nothing is ever sent to."""


class Asked(NamedTuple):
    """A request, and another one that is as good at the same place."""

    method: str
    path: str
    body: Any
    other: Any


def answered(answer: httpx2.Response) -> tuple[object, ...]:
    """Return all of an answer that a client relies on."""
    headers = (answer.headers.get(name) for name in ("etag", "location", "onrecord-after", "content-type", "vary"))
    return answer.status_code, answer.content, *headers


async def asked(room: Newsroom) -> dict[str, Asked]:
    """Return a request for every operation that changes something, on things of its own."""
    said = room.said()
    claim = await room.claim("It fell.", said)
    statement, other_statement = await room.say(claim, "neighbour"), await room.say(claim, "leak")
    film, other_film = await room.show(claim), await room.show(claim)
    ask = {"source_id": room.sources["red"], "sent_at": "2024-01-24", "deadline": "2034-01-25"}
    inquiry = (await room.post(f"/v1/claims/{claim}/inquiries", ask))["id"]
    judged = await room.claim("It was judged.")
    assessment = await room.assess(judged)
    judged_on = (await room.post(f"/v1/claims/{claim}/statements", said))["position"]
    merged = await room.claim("It came down.")
    await room.post(f"/v1/claims/{merged}/merge", {"into": claim})
    split = await room.claim("It fell and burnt.")
    part = await room.say(split)
    text = {"url": "https://example.org/a", "title": "t", "published_at": "2024-01-24", "claims": [{"claim_id": claim}]}
    ours = (await room.post("/v1/publications", text))["id"]
    over = (await room.post("/v1/stories", {"title": "Over"}))["id"]
    leaver = await room.source("leaver", confidential={"identity": "Ann"})
    noted = await room.show(claim, confidential={"note": "n"})
    named = {"method": "m", "by": PERSON, "confidential": {"by_name": "Ann"}}
    await room.post(f"/v1/evidence/{noted}/authentication", named)
    new = {"story_id": room.story, "text": "t"}
    parts = [{"statement_ids": [part], "claim": new | {"text": f"p{n}"}} for n in range(2)]
    opinion = {"verdict": "verified", "rationale": "r", "by": PERSON}
    whole = {"name": "admiralty"}
    corrected = {"by": "speaker", "after": {"quote": "q"}}
    where = f"/v1/claims/{claim}"
    hooks = [(await room.post("/v1/webhooks", HOOK))["id"] for _ in range(4)]
    enabled, disabled, gone, rotated = (f"/v1/webhooks/{hook}" for hook in hooks)
    await room.send("POST", f"{enabled}/disable", {})
    return {
        "registerWebhook": Asked("POST", "/v1/webhooks", HOOK, HOOK | {"format": "slack"}),
        "updateWebhook": Asked("PATCH", rotated, {"description": "a"}, {"description": "b"}),
        "rotateWebhookSecret": Asked("POST", f"{rotated}/secret", {}, {"overlap_hours": 1}),
        "enableWebhook": Asked("POST", f"{enabled}/enable", None, None),
        "disableWebhook": Asked("POST", f"{disabled}/disable", {}, {"reason": "r"}),
        "deleteWebhook": Asked("DELETE", gone, None, None),
        "openStory": Asked("POST", "/v1/stories", {"title": "Another"}, {"title": "Yet another"}),
        "updateStory": Asked("PATCH", f"/v1/stories/{room.story}", {"summary": "s"}, {"summary": "t"}),
        "closeStory": Asked("POST", f"/v1/stories/{over}/closing", {"reason": "a"}, {"reason": "b"}),
        "registerSource": Asked(
            "POST", "/v1/sources", {"name": "a", "kind": "person"}, {"name": "b", "kind": "person"}
        ),
        "updateSource": Asked("PATCH", f"/v1/sources/{room.sources['blue']}", {"name": "B"}, {"name": "C"}),
        "gradeSource": Asked(
            "POST",
            f"/v1/sources/{room.sources['blue']}/grades",
            {"reliability": "B", "rationale": "r", "by": PERSON},
            {"reliability": "C", "rationale": "r", "by": PERSON},
        ),
        "eraseSource": Asked("POST", f"/v1/sources/{leaver}/erasure", {}, {"reason": "r"}),
        "erasePerson": Asked("POST", f"/v1/persons/{PERSON}/erasure", {}, {"reason": "r"}),
        "eraseEvidence": Asked("POST", f"/v1/evidence/{noted}/erasure", {}, {"reason": "r"}),
        "registerClaim": Asked("POST", "/v1/claims", new | {"first_statement": said}, new),
        "updateClaim": Asked("PATCH", where, {"text": "It crashed."}, {"text": "It burnt."}),
        "mergeClaim": Asked("POST", f"/v1/claims/{judged}/merge", {"into": split}, {"into": split, "reason": "r"}),
        "unmergeClaim": Asked("POST", f"/v1/claims/{merged}/unmerge", {}, {"reason": "r"}),
        "splitClaim": Asked("POST", f"/v1/claims/{split}/split", {"parts": parts}, {"parts": parts[:1]}),
        "recordStatement": Asked("POST", f"{where}/statements", said, room.said("blue")),
        "addEvidence": Asked(
            "POST",
            f"{where}/evidence",
            {"kind": "video", "bearing": "supports", "description": "d"},
            {"kind": "video", "bearing": "supports", "description": "e"},
        ),
        "noteAbsence": Asked("POST", f"{where}/evidence/absence", {}, {"source_id": room.sources["outlet"]}),
        "sendInquiry": Asked("POST", f"{where}/inquiries", ask, ask | {"sent_at": "2024-01-23"}),
        "makeAssessment": Asked("POST", f"{where}/assessments", opinion, opinion | {"rationale": "s"}),
        "correctStatement": Asked(
            "POST", f"/v1/statements/{statement}/correction", corrected, corrected | {"note": "o"}
        ),
        "withdrawStatement": Asked(
            "POST", f"/v1/statements/{other_statement}/withdrawal", {"by": "speaker"}, {"by": "publisher"}
        ),
        "authenticateEvidence": Asked(
            "POST", f"/v1/evidence/{film}/authentication", {"method": "m", "by": PERSON}, {"method": "n", "by": PERSON}
        ),
        "challengeEvidence": Asked(
            "POST", f"/v1/evidence/{other_film}/challenge", {"ground": "a", "by": PERSON}, {"ground": "b", "by": PERSON}
        ),
        "answerInquiry": Asked("POST", f"/v1/inquiries/{inquiry}/answer", {}, {"note": "n"}),
        "revokeAssessment": Asked(
            "POST",
            f"/v1/assessments/{assessment}/revocation",
            {"reason": "r", "by": PERSON},
            {"reason": "s", "by": PERSON},
        ),
        "voidRecording": Asked("POST", f"/v1/events/{judged_on}/void", {"reason": "r"}, {"reason": "s"}),
        "recordPublication": Asked("POST", "/v1/publications", text, text | {"title": "u"}),
        "correctPublication": Asked("POST", f"/v1/publications/{ours}/correction", {"note": "n"}, {"note": "o"}),
        "activatePolicy": Asked("POST", "/v1/policies", whole, {"name": "permissive-tracker"}),
        "rebuildProjection": Asked("POST", "/v1/projections/parts/rebuild", None, None),
        "cancelRebuild": Asked("DELETE", "/v1/projections/parts/rebuild", None, None),
    }


def operations(settings: Settings) -> set[str]:
    """Return every operation that is no reading."""
    found = set()
    for route in create_app(settings).routes:
        if isinstance(route, HTTPRoute):
            for method, (handler, _) in route.route_handler_map.items():
                if method not in ("GET", "OPTIONS"):
                    found.add(str(handler.operation_id))
    return found


async def test_every_request_can_be_sent_again(room: Newsroom, settings: Settings, subtests: pytest.Subtests) -> None:
    """With the same key it gets the first answer, also after later writes, and is done once; another gets a 422."""
    rows = await asked(room)
    assert operations(settings) == {*rows, *ELSEWHERE}
    firsts: dict[str, httpx2.Response] = {}
    for operation, row in rows.items():
        firsts[operation] = await send(room, row, row.body, operation)
    assert {name: first.text for name, first in firsts.items() if first.status_code not in {200, 201, 202}} == {}
    await room.claim("Later.", room.said("blue"))
    before = await room.ledger.head()
    for operation, row in rows.items():
        with subtests.test(operation):
            again = await send(room, row, row.body, operation)
            assert answered(firsts[operation]) == answered(again)
            if row.other is not None:
                differs = await send(room, row, row.other, operation)
                assert (differs.status_code, differs.json()["type"]) == (422, "/problems/idempotency-conflict")
            for malformed in ("", '"half', "Schlüssel".encode("latin-1"), "x" * 256):
                refused = await send(room, row, row.body, malformed)
                assert (refused.status_code, refused.json()["type"]) == (400, "/problems/bad-request")
    later = await room.ledger.read(before.position)
    assert [entry.envelope.type for entry in later if entry.envelope.actor != "system"] == []  # a worker follows up


async def send(room: Newsroom, row: Asked, body: Any, key: str | bytes) -> httpx2.Response:
    """Send a request with a key, for any version."""
    headers = [("If-Match", "*"), ("Idempotency-Key", key)]
    return await room.api.request(row.method, row.path, json=body, headers=headers)


async def test_a_key_is_the_same_with_quotes_and_without(room: Newsroom) -> None:
    """What the draft writes as a string is the key that others write without quotes; two keys at once are none."""
    claim = await room.claim()

    async def record(*keys: str) -> httpx2.Response:
        headers = [("Idempotency-Key", key) for key in keys]
        return await room.api.post(f"/v1/claims/{claim}/statements", json=room.said(), headers=headers)

    first = await record("8e03978e-40d5")
    assert answered(first) == answered(await record('"8e03978e-40d5"'))
    assert (await record('"8e03978e \\"40d5\\""')).json()["id"] != first.json()["id"]
    assert answered(await record('8e03978e "40d5"')) == answered(await record('"8e03978e \\"40d5\\""'))
    twice = await record("a", "b")
    assert (twice.status_code, twice.json()["type"]) == (400, "/problems/bad-request")


async def test_what_changes_nothing_stays_refused(room: Newsroom) -> None:
    """A PATCH that changes nothing is refused each time; one that would by now is held back by the ETag it names."""
    where = f"/v1/claims/{await room.claim('It fell.')}"
    tag = (await room.ask(where)).headers["etag"]
    first = [await room.send("PATCH", where, {"text": "It fell."}, Idempotency_Key="k", If_Match=tag) for _ in range(2)]
    assert {(409, "/problems/already-recorded")} == {(each.status_code, each.json()["type"]) for each in first}
    await room.patch(where, {"text": "It flew."})
    late = await room.send("PATCH", where, {"text": "It fell."}, Idempotency_Key="k", If_Match=tag)
    assert (late.status_code, late.json()["type"]) == (412, "/problems/version-mismatch")


async def test_a_change_without_a_version_wants_one(room: Newsroom, subtests: pytest.Subtests) -> None:
    """What others may have changed meanwhile is changed only by who names the version, or says that any will do."""
    claim, other = await room.claim(), await room.claim("Another.")
    for method, path, body in (
        ("PATCH", f"/v1/stories/{room.story}", {"summary": "s"}),
        ("PATCH", f"/v1/sources/{room.sources['red']}", {"name": "Red"}),
        ("PATCH", f"/v1/claims/{claim}", {"text": "It crashed."}),
        ("POST", f"/v1/claims/{claim}/merge", {"into": other}),
        ("POST", f"/v1/claims/{claim}/unmerge", {}),
        (
            "POST",
            f"/v1/claims/{claim}/split",
            {"parts": [{"statement_ids": [await room.say(claim)], "claim_id": other}]},
        ),
    ):
        with subtests.test(f"{method} {path}"):
            refused = await room.api.request(method, path, json=body)
            assert (refused.status_code, refused.json()["type"]) == (428, "/problems/precondition-required")
            tag = (await room.ask(path.removesuffix("/merge").removesuffix("/unmerge").removesuffix("/split"))).headers
            done = await room.send(method, path, body, If_Match=tag["etag"])
            assert done.status_code == (200 if method == "PATCH" else 201), done.text
