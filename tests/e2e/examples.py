"""One real request for every operation, on a ledger that holds the Il-76 story: what the examples are recorded from.

They are sent in this order. What they name is in the sample story, so that a reader of the documentation who runs
`make run` can send them as they stand.
"""

from typing import Any, NamedTuple

from events.identifiers import Kind, derived_id


class Call(NamedTuple):
    """One request: the operation, what fills its path and its query, its body, and the headers that it wants."""

    operation: str
    path: dict[str, Any] = {}  # noqa: RUF012 - a default that nobody changes
    query: dict[str, Any] = {}  # noqa: RUF012 - likewise
    body: Any = None
    headers: dict[str, str] = {}  # noqa: RUF012 - likewise


def _id(kind: Kind, key: str) -> str:
    return derived_id(kind, "il76", key)


STORY = derived_id("story", "il76")
EDITOR = _id("person", "desk-editor")
_FELL = {"claim_id": _id("claim", "fell")}
_SHOT_DOWN = {"claim_id": _id("claim", "shot-down")}
_CIVILIANS = {"claim_id": _id("claim", "civilians")}
_MINISTRY = {"source_id": _id("source", "ru-mod")}
_VIDEO = {"evidence_id": _id("evidence", "fell/video")}
_ANY = {"If-Match": "*"}
_AGAIN = {"Idempotency-Key": "il76-2024-01-24-1"}

CALLS: tuple[Call, ...] = (
    Call("isAlive"),
    Call("listProblems"),
    Call("readProblem", {"slug": "version-mismatch"}),
    Call("listStories", query={"limit": 1}),
    Call("getStory", {"story_id": STORY}),
    Call("listSources", query={"limit": 2}),
    Call("getSource", _MINISTRY),
    Call("getSourceRecord", _MINISTRY),
    Call("listClaims", query={"story": STORY, "state": "corroborated", "limit": 1}),
    Call("getClaim", _FELL),
    Call("getClaimHistory", _FELL, {"limit": 2}),
    Call("explainClaim", {"claim_id": _id("claim", "swap-planned")}),
    Call("readEvents", query={"story": STORY, "type": "assessment.made", "limit": 1}),
    Call("readDesk", query={"story": STORY}),
    Call("listClaimsOnOneGovernment", query={"story": STORY, "limit": 1}),
    Call("auditState", query={"story": STORY, "as_of": "60", "limit": 1}),
    Call("auditDiff", query={"story": STORY, "from": "60", "to": "80", "limit": 1}),
    Call("listPolicies"),
    Call(
        "openStory",
        body={
            "title": "Sea King helicopters for Ukraine",
            "summary": "Germany says that it plans to send six Sea King Mk41 helicopters.",
            "parties": ["ukraine", "germany"],
            "allies": {"germany": ["ukraine"]},
        },
        headers=_AGAIN,
    ),
    Call(
        "updateStory",
        {"story_id": STORY},
        body={"title": "Crash of a Russian Il-76 near Yablonovo, Belgorod region"},
        headers=_ANY,
    ),
    Call(
        "registerSource",
        body={"name": "Andriy Yusov, spokesman of HUR", "kind": "official", "affiliated_to": [_id("source", "hur")]},
    ),
    Call("updateSource", _MINISTRY, body={"url": "https://mod.example/en"}, headers=_ANY),
    Call(
        "gradeSource",
        {"source_id": _id("source", "ap")},
        body={"reliability": "A", "rationale": "Says what it saw and what it was told, and corrects.", "by": EDITOR},
    ),
    Call(
        "registerClaim",
        body={
            "story_id": STORY,
            "text": "The flight recorders of the Il-76 were found.",
            "serves": [],
            "harms": [],
            "tags": ["recorders"],
            "first_statement": {
                "speaker_id": _id("source", "ru-mod"),
                "stance": "asserts",
                "publisher_id": _id("source", "tass"),
                "said_at": "2024-01-25",
            },
        },
    ),
    Call("updateClaim", _FELL, body={"tags": ["crash-site"]}, headers=_ANY),
    Call(
        "recordStatement",
        _SHOT_DOWN,
        body={
            "speaker_id": _id("source", "hur"),
            "stance": "unable_to_verify",
            "publisher_id": _id("source", "ap"),
            "said_at": "2024-01-24T16:30Z",
            "quote": "We have no reliable information about who was on board.",
            "language": "en",
        },
    ),
    Call(
        "correctStatement",
        {"statement_id": _id("statement", "drones/ru-mod")},
        body={"by": "speaker", "after": {"said_at": "2024-01-24T05:40Z"}, "note": "The ministry gave the hour."},
    ),
    Call(
        "withdrawStatement",
        {"statement_id": _id("statement", "alert/gladkov")},
        body={"by": "speaker", "at": "2024-01-25", "reason": "The post was deleted."},
    ),
    Call(
        "addEvidence",
        _SHOT_DOWN,
        body={
            "kind": "radar_record",
            "bearing": "context",
            "description": "A recording of a radar, shown at a briefing for four seconds.",
            "supplied_by": _id("source", "ru-mod"),
            "made_public_at": "2024-02-01",
        },
    ),
    Call(
        "challengeEvidence",
        _VIDEO,
        body={"ground": "The clip may have been cut.", "by": EDITOR},
    ),
    Call(
        "authenticateEvidence",
        _VIDEO,
        body={
            "method": "Compared the smoke with the wind that was measured at Belgorod.",
            "by": EDITOR,
            "pillars": {"date": "The wind of 24 January 2024, and of no other day that week."},
        },
    ),
    Call("noteAbsence", {"claim_id": _id("claim", "radar")}, body={"source_id": _id("source", "ru-mod")}),
    Call(
        "sendInquiry",
        _SHOT_DOWN,
        body={
            "source_id": _id("source", "kremlin"),
            "question": "Which unit recorded the two missiles, and may we see the recording?",
            "deadline": "2099-01-26T12:00Z",
            "channel": "email",
            "by": EDITOR,
        },
    ),
    Call("listInquiries", query={"status": "open"}),
    Call(
        "makeAssessment",
        {"claim_id": _id("claim", "capacity")},
        body={
            "verdict": "verified",
            "rationale": "The maker's data sheet says so, and no source says otherwise.",
            "by": EDITOR,
            "confidential": {"by_name": "R. Example"},
        },
    ),
    Call(
        "revokeAssessment",
        {"assessment_id": _id("assessment", "civilians/verified")},
        body={"reason": "To be reviewed by a second person first.", "by": EDITOR},
    ),
    Call(
        "recordPublication",
        body={
            "title": "What is known about the crash of the Il-76",
            "url": "https://news.example/il76",
            "published_at": "2024-01-24T18:00Z",
            "claims": [{"claim_id": _id("claim", "fell"), "state": "corroborated"}],
        },
    ),
    Call("listPublications", query={"limit": 1}),
    Call(
        "splitClaim",
        {"claim_id": _id("claim", "pows")},
        body={
            "parts": [
                {
                    "claim": {"story_id": STORY, "text": "Prisoners of war were aboard the Il-76."},
                    "statement_ids": [_id("statement", "pows/ru-mod")],
                }
            ],
            "reason": "Whether there were any is one thing, how many another.",
        },
        headers=_ANY,
    ),
    Call(
        "mergeClaim",
        {"claim_id": _id("claim", "swap-place")},
        body={"into": _id("claim", "swap-planned"), "reason": "The place was never in dispute."},
        headers=_ANY,
    ),
    Call(
        "unmergeClaim",
        {"claim_id": _id("claim", "swap-place")},
        body={"reason": "They are about different things after all."},
        headers=_ANY,
    ),
    Call("voidRecording", {"position": "@pows/outlet-three"}, body={"reason": "Entered twice.", "by": EDITOR}),
    Call("eraseEvidence", _VIDEO, body={"reason": "The person who filmed it asked for it."}),
    Call("erasePerson", {"person_id": EDITOR}, body={"reason": "Has left the desk."}),
    Call("eraseSource", {"source_id": _id("source", "ua-officials")}, body={"reason": "Promised when they spoke."}),
    Call("activatePolicy", body={"name": "permissive-tracker", "reason": "A week on trial."}),
    Call("closeStory", {"story_id": STORY}, body={"reason": "Nothing new since February 2024."}),
)

PROBLEMS: dict[int, Call] = {
    400: Call("listClaims", query={"limit": 1000}),
    404: Call("getClaim", {"claim_id": derived_id("claim", "nothing")}),
    409: Call("closeStory", {"story_id": STORY}, body={}),
    412: Call("updateClaim", _FELL, body={"tags": ["crash"]}, headers={"If-Match": '"24jan20240000.1.1"'}),
    428: Call("updateClaim", _FELL, body={"tags": ["crash"]}),
    415: Call("openStory", body={"title": "A story"}, headers={"Content-Type": "text/plain"}),
    422: Call("recordStatement", _FELL, body={"speaker_id": derived_id("source", "nobody"), "stance": "asserts"}),
}
"""A request for a problem of each status that a well-meant request can meet."""

WITHOUT: dict[str, str] = {
    "readSchema": "a schema is no example of anything",
    "readWebhookKeys": "they are made by each service for itself",
    "proveEvent": "its hashes are those of one ledger",
    "listLedgers": "it tells how long the ledger is at this moment",
    "getLedger": "likewise",
    "isReady": "it tells of the moment: how far each projection is",
    "listProjections": "likewise",
    "rebuildProjection": "likewise",
    "cancelRebuild": "likewise",
    "skipEvent": "only a projection that stopped takes it",
    "getPublication": "its identifier is made when it is recorded",
    "correctPublication": "likewise",
    "answerInquiry": "likewise",
}
"""Operations that have no recorded example, and why."""

WITHOUT_TAGS: dict[str, str] = {
    "checkpoint": "it is signed with each service's own key",
    "tile": "its hashes are those of one ledger",
    "keys": "a key is a secret, made by each service for itself",
    "webhooks": "an endpoint is an address of the reader's own, which the sample story has none of",
}
"""Resources that have no recorded examples, and why."""
