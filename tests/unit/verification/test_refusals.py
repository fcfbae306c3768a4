"""Refusals: for each thing that can be proposed, what is refused, why, and to which part of it that points."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from events import catalog, records
from events.catalog import Event
from events.identifiers import derived_id
from events.moments import timestamp
from events.words import Policy, SourceKind
from service.verification import decide
from service.verification.checks import MOST_AHEAD, MOST_TOGETHER
from service.verification.policy import ADMIRALTY, BUILT_IN, PERMISSIVE_TRACKER, STRICT_TWO_SOURCE
from service.verification.refusals import AlreadyRecorded, NotOnRecord, Refusal, RuleBroken, UnknownReference

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

NOW = 1_800_000_000_000_000
SOON, LATER = timestamp(NOW + MOST_AHEAD), timestamp(NOW + MOST_AHEAD + 1)
KILLED = {"quantities": [{"measure": "killed", "value": 3}]}
ABSENT, NOBODY = derived_id("claim", "nothing"), derived_id("source", "nobody")


def prepare(case: Case) -> None:
    """Record something of every kind, and other claims beside."""
    case.says("witness", name="said", said_at="2023-01-02")
    case.says("outlet", repeats="said", name="repeated")
    case.says("witness", "denies", name="taken")
    case.withdraw("taken")
    case.evidence(name="film")
    case.evidence(name="copy", derived_from="film")
    case.evidence(name="proof", authentic=True)
    case.says("neighbour", name="resting", rests_on=["evidence:proof"])
    case.says("neighbour", name="mistaken")
    case.void("statement:mistaken")
    case.absence(source="red-gov")
    case.ask("red-gov", name="asked", deadline="2023-12")
    case.ask("red-gov", name="unanswered", deadline="2030")
    case.ask("red-gov", name="expired", deadline="2023-12")
    case.ask("blue-gov", name="answered", deadline="2023-12")
    case.says("blue-gov", "denies", name="answer", inquiry="answered")
    case.answer("answered", statement="answer")
    case.expire("expired")
    case.assess("verified", name="first")
    case.assess("refuted", name="revoked")
    case.revoke("revoked")
    case.claim("part", parent_id="c")
    case.claim("part-of-part", parent_id="part")
    case.claim("counted", **KILLED)
    case.claim("member")
    case.claim("negation")
    case.claim("elsewhere", story_id=case.id_of("story", "other"))
    case.says("witness", on="elsewhere", name="theirs")
    case.merge("member", into="part")
    case.merge("negation", into="part", inverted=True)
    case.says("institute", name="lent")
    case.split({"part": ["lent"]})


def noted(claim_id: str, **said: str) -> Event:
    """Return a note that no evidence was offered."""
    return catalog.EvidenceAbsenceNoted(claim_id=claim_id, absence=msgspec.convert(said, records.Absence))


def merged(case: Case, name: str, into: str, *, inverted: bool = False) -> Event:
    """Return a merge."""
    merge = records.Merge(into=case.id_of("claim", into), inverted=inverted)
    return catalog.ClaimMerged(claim_id=case.id_of("claim", name), merge=merge)


def unmerged(case: Case, name: str) -> Event:
    """Return the end of a merge, which names what it was merged into as well as it can."""
    claim_id = case.id_of("claim", name)
    return catalog.ClaimUnmerged(claim_id=claim_id, out_of=claim_id, unmerge=records.Unmerge())


def answered(case: Case, name: str, **said: Any) -> Event:
    """Return the answer to an inquiry."""
    response = msgspec.convert(said, records.Response)
    return catalog.InquiryAnswered(claim_id=case.claim_id, inquiry_id=case.id_of("inquiry", name), response=response)


def expired(case: Case, name: str) -> Event:
    """Return the end of an inquiry."""
    return catalog.InquiryExpired(claim_id=case.claim_id, inquiry_id=case.id_of("inquiry", name))


def fixed(*claim_ids: str, at: str | None = None) -> Event:
    """Return the correction of a text of ours."""
    correction = records.PublicationCorrection(note="It was not so.", at=at)
    return catalog.PublicationCorrected(
        publication_id=derived_id("publication", "text"), claim_ids=claim_ids, correction=correction
    )


Row = tuple[str, Callable[["Case"], Event], type[Refusal], str]
CLAIMS: list[Row] = [
    ("registered twice", lambda c: c.registered("part"), AlreadyRecorded, ""),
    ("serves a stranger", lambda c: c.registered("new", serves=["red", "green"]), RuleBroken, "/serves/1"),
    ("harms a stranger", lambda c: c.registered("new", harms=["green"]), RuleBroken, "/harms/0"),
    ("declared by nobody", lambda c: c.registered("new", declared_by="nobody"), UnknownReference, "/declared_by"),
    ("a sum without a figure", lambda c: c.registered("new", sum_of={"counted": "killed"}), RuleBroken, "/sum_of"),
    (
        "a sum with two figures",
        lambda c: c.registered("new", sum_of={"counted": "killed"}, quantities=KILLED["quantities"] * 2),
        RuleBroken,
        "/sum_of",
    ),
    (
        "its own term",
        lambda c: c.registered("new", sum_of={"counted": "killed", "new": "killed"}, **KILLED),
        RuleBroken,
        "/sum_of/1/claim_id",
    ),
    (
        "an unknown term",
        lambda c: c.registered("new", sum_of={"counted": "killed", "nothing": "killed"}, **KILLED),
        UnknownReference,
        "/sum_of/1/claim_id",
    ),
    (
        "an unknown figure",
        lambda c: c.registered("new", sum_of={"counted": "injured"}, **KILLED),
        UnknownReference,
        "/sum_of/0/measure",
    ),
    ("part of nothing", lambda c: c.registered("new", parent_id="nothing"), UnknownReference, "/parent_id"),
    ("part of itself", lambda c: c.registered("new", parent_id="new"), RuleBroken, "/parent_id"),
    ("part of another story's", lambda c: c.registered("new", parent_id="elsewhere"), RuleBroken, "/parent_id"),
    (
        "about nothing",
        lambda c: c.registered("new", about_statement_id=c.id_of("statement", "nothing")),
        UnknownReference,
        "/about_statement_id",
    ),
    (
        "about what was voided",
        lambda c: c.registered("new", about_statement_id=c.id_of("statement", "mistaken")),
        UnknownReference,
        "/about_statement_id",
    ),
    ("update nothing", lambda c: c.updated("nothing", text="t"), NotOnRecord, ""),
    ("update to what it is", lambda c: c.updated(text="It is so.", tags=[]), AlreadyRecorded, ""),
    ("update with no change", lambda c: c.updated(), AlreadyRecorded, ""),
    ("update serves", lambda c: c.updated(serves=["green"]), RuleBroken, "/serves/0"),
    ("update declared by", lambda c: c.updated(declared_by="nobody"), UnknownReference, "/declared_by"),
    ("update to a sum", lambda c: c.updated(sum_of={"counted": "killed"}), RuleBroken, "/sum_of"),
    ("update to no figure", lambda c: c.updated(sum_of={"c": "killed"}, **KILLED), RuleBroken, "/sum_of/0/claim_id"),
    ("update to its part's part", lambda c: c.updated(parent_id="part-of-part"), RuleBroken, "/parent_id"),
    ("figures of a negation", lambda c: c.updated("negation", **KILLED), RuleBroken, "/quantities"),
    ("figures of what has a negation", lambda c: c.updated("part", **KILLED), RuleBroken, "/quantities"),
    ("merge nothing", lambda c: merged(c, "nothing", "c"), NotOnRecord, ""),
    ("merge into nothing", lambda c: merged(c, "c", "nothing"), UnknownReference, "/into"),
    ("merge into itself", lambda c: merged(c, "c", "c"), RuleBroken, "/into"),
    ("merge twice", lambda c: merged(c, "member", "c"), AlreadyRecorded, ""),
    ("merge in a circle", lambda c: merged(c, "part", "member"), RuleBroken, "/into"),
    ("merge into a member", lambda c: merged(c, "c", "member"), RuleBroken, "/into"),
    ("merge across stories", lambda c: merged(c, "elsewhere", "c"), RuleBroken, "/into"),
    ("negate a figure", lambda c: merged(c, "counted", "c", inverted=True), RuleBroken, "/inverted"),
    ("negate into a figure", lambda c: merged(c, "c", "counted", inverted=True), RuleBroken, "/inverted"),
    ("unmerge nothing", lambda c: unmerged(c, "nothing"), NotOnRecord, ""),
    ("unmerge what is not merged", lambda c: unmerged(c, "c"), AlreadyRecorded, ""),
    ("split nothing", lambda c: c.splits({"part": ["said"]}, on="nothing"), NotOnRecord, ""),
    (
        "split into nothing",
        lambda c: c.splits({"part": ["said"], "nothing": ["said"]}),
        UnknownReference,
        "/parts/1/claim_id",
    ),
    ("split into itself", lambda c: c.splits({"c": ["said"]}), RuleBroken, "/parts/0/claim_id"),
    ("split across stories", lambda c: c.splits({"elsewhere": ["said"]}), RuleBroken, "/parts/0/claim_id"),
    (
        "split off another's statement",
        lambda c: c.splits({"part": ["said", "theirs"]}),
        UnknownReference,
        "/parts/0/statement_ids/1",
    ),
    (
        "split off what was voided",
        lambda c: c.splits({"part": ["mistaken"]}),
        UnknownReference,
        "/parts/0/statement_ids/0",
    ),
    ("split as before", lambda c: c.splits({"part": ["lent"]}), AlreadyRecorded, ""),
    (
        "split into one part twice",
        lambda c: catalog.ClaimSplit(
            claim_id=c.claim_id, split=records.Split(parts=c.splits({"part": ["said"]}).split.parts * 2)
        ),
        RuleBroken,
        "/parts",
    ),
]
STATEMENTS: list[Row] = [
    ("statement on nothing", lambda c: c.statement("witness", on="nothing"), NotOnRecord, ""),
    ("statement twice", lambda c: c.statement("witness", name="said"), AlreadyRecorded, ""),
    ("statement that was voided", lambda c: c.statement("witness", name="mistaken"), AlreadyRecorded, ""),
    ("unknown speaker", lambda c: c.statement("nobody"), UnknownReference, "/speaker_id"),
    ("unknown publisher", lambda c: c.statement("witness", publisher="nobody"), UnknownReference, "/publisher_id"),
    (
        "unknown relay",
        lambda c: c.statement("witness", relay_ids=[c.id_of("source", name) for name in ("agency", "nobody")]),
        UnknownReference,
        "/relay_ids/1",
    ),
    ("said tomorrow", lambda c: c.statement("witness", said_at=LATER), RuleBroken, "/said_at"),
    ("published tomorrow", lambda c: c.statement("witness", published_at=LATER), RuleBroken, "/published_at"),
    (
        "rests on unknown source",
        lambda c: c.statement("witness", rests_on=["source:agency", "evidence:film", "source:nobody"]),
        UnknownReference,
        "/rests_on/2",
    ),
    (
        "rests on unknown evidence",
        lambda c: c.statement("witness", rests_on=["evidence:nothing"]),
        UnknownReference,
        "/rests_on/0",
    ),
    (
        "rests on another claim's evidence",
        lambda c: c.statement("witness", on="part", rests_on=["evidence:film"]),
        UnknownReference,
        "/rests_on/0",
    ),
    ("repeats nothing", lambda c: c.statement("outlet", repeats="nothing"), UnknownReference, "/repeats"),
    ("repeats a repeat", lambda c: c.statement("outlet", repeats="repeated"), RuleBroken, "/repeats"),
    ("repeats another claim's", lambda c: c.statement("outlet", repeats="theirs"), UnknownReference, "/repeats"),
    ("answers nothing", lambda c: c.statement("red-gov", inquiry="nothing"), UnknownReference, "/inquiry_id"),
    ("correct on nothing", lambda c: c.correction("said", on="nothing", hedge="likely"), NotOnRecord, ""),
    ("correct nothing", lambda c: c.correction("nothing", hedge="likely"), NotOnRecord, ""),
    ("correct what was voided", lambda c: c.correction("mistaken", hedge="likely"), NotOnRecord, ""),
    ("correct what was withdrawn", lambda c: c.correction("taken", hedge="likely"), RuleBroken, ""),
    ("correct without a change", lambda c: c.correction("said"), RuleBroken, "/after"),
    ("corrected tomorrow", lambda c: c.correction("said", at=LATER, hedge="likely"), RuleBroken, "/at"),
    ("correct to nobody", lambda c: c.correction("said", speaker="nobody"), UnknownReference, "/after/speaker_id"),
    ("correct to tomorrow", lambda c: c.correction("said", said_at=LATER), RuleBroken, "/after/said_at"),
    (
        "correct to rest on nothing",
        lambda c: c.correction("said", rests_on=["source:agency", "evidence:nothing"]),
        UnknownReference,
        "/after/rests_on/1",
    ),
    ("correct to what it is", lambda c: c.correction("said", stance="asserts", hedge="none"), AlreadyRecorded, ""),
    (
        "correct what it never said",
        lambda c: msgspec.structs.replace(
            c.correction("said"),
            correction=records.Correction(
                by="silent",
                after=records.StatementChanges(hedge="likely"),
                before=records.StatementChanges(hedge="possible"),
            ),
        ),
        RuleBroken,
        "/before/hedge",
    ),
    ("withdraw on nothing", lambda c: c.withdrawal("said", on="nothing"), NotOnRecord, ""),
    ("withdraw nothing", lambda c: c.withdrawal("nothing"), NotOnRecord, ""),
    ("withdraw twice", lambda c: c.withdrawal("taken"), AlreadyRecorded, ""),
    ("withdrawn tomorrow", lambda c: c.withdrawal("said", at=LATER), RuleBroken, "/at"),
]
EVIDENCE: list[Row] = [
    ("evidence on nothing", lambda c: c.shown(on="nothing"), NotOnRecord, ""),
    ("evidence twice", lambda c: c.shown(name="film"), AlreadyRecorded, ""),
    ("unknown supplier", lambda c: c.shown(by="nobody"), UnknownReference, "/supplied_by"),
    ("derived from nothing", lambda c: c.shown(derived_from="nothing"), UnknownReference, "/derived_from"),
    ("public tomorrow", lambda c: c.shown(public=LATER), RuleBroken, "/made_public_at"),
    ("authenticate on nothing", lambda c: c.authentication("film", on="nothing"), NotOnRecord, ""),
    ("authenticate nothing", lambda c: c.authentication("nothing"), NotOnRecord, ""),
    ("authenticate twice", lambda c: c.authentication("proof"), AlreadyRecorded, ""),
    ("challenge on nothing", lambda c: c.challenged("film", on="nothing"), NotOnRecord, ""),
    ("challenge nothing", lambda c: c.challenged("nothing"), NotOnRecord, ""),
    ("challenged by nobody", lambda c: c.challenged("film", "nobody"), UnknownReference, "/source_id"),
    ("absence on nothing", lambda c: noted(c.id_of("claim", "nothing")), NotOnRecord, ""),
    ("absence by nobody", lambda c: noted(c.claim_id, source_id=NOBODY), UnknownReference, "/source_id"),
    ("absence noted by nobody", lambda c: noted(c.claim_id, publisher_id=NOBODY), UnknownReference, "/publisher_id"),
    (
        "absence twice",
        lambda c: noted(c.claim_id, source_id=c.id_of("source", "red-gov"), quote="None."),
        AlreadyRecorded,
        "",
    ),
]
DESK: list[Row] = [
    ("ask on nothing", lambda c: c.inquiry("red-gov", name="new", on="nothing"), NotOnRecord, ""),
    ("ask twice", lambda c: c.inquiry("red-gov"), AlreadyRecorded, ""),
    ("ask nobody", lambda c: c.inquiry("nobody", name="new"), UnknownReference, "/source_id"),
    ("asked tomorrow", lambda c: c.inquiry("red-gov", name="new", sent_at=LATER), RuleBroken, "/sent_at"),
    (
        "due before it was asked",
        lambda c: c.inquiry("red-gov", name="new", sent_at="2023-01-02", deadline="2023-01-01"),
        RuleBroken,
        "/deadline",
    ),
    ("due before now", lambda c: c.inquiry("red-gov", name="new", deadline="2023-01-01"), RuleBroken, "/deadline"),
    ("answer nothing", lambda c: answered(c, "nothing"), NotOnRecord, ""),
    ("answer twice", lambda c: answered(c, "answered"), AlreadyRecorded, ""),
    ("answered tomorrow", lambda c: answered(c, "asked", at=LATER), RuleBroken, "/at"),
    (
        "answer with nothing",
        lambda c: answered(c, "asked", statement_id=c.id_of("statement", "nothing")),
        UnknownReference,
        "/statement_id",
    ),
    ("expire nothing", lambda c: expired(c, "nothing"), NotOnRecord, ""),
    ("expire what was answered", lambda c: expired(c, "answered"), AlreadyRecorded, ""),
    ("expire twice", lambda c: expired(c, "expired"), AlreadyRecorded, ""),
    ("expire too early", lambda c: expired(c, "unanswered"), RuleBroken, ""),
    ("assess nothing", lambda c: c.assessment(on="nothing"), NotOnRecord, ""),
    ("assess twice", lambda c: c.assessment(name="first"), AlreadyRecorded, ""),
    ("assess a merged claim", lambda c: c.assessment(on="member"), RuleBroken, ""),
    ("revoke on nothing", lambda c: c.revocation("first", on="nothing"), NotOnRecord, ""),
    ("revoke nothing", lambda c: c.revocation("nothing"), NotOnRecord, ""),
    ("revoke twice", lambda c: c.revocation("revoked"), AlreadyRecorded, ""),
    ("revoke what was superseded", lambda c: c.revocation("first"), RuleBroken, ""),
    ("void on nothing", lambda c: c.voiding("statement:said", on="nothing"), NotOnRecord, ""),
    ("void twice", lambda c: c.voiding("statement:mistaken"), AlreadyRecorded, ""),
    ("void nothing", lambda c: c.voiding("statement:nothing"), RuleBroken, ""),
    ("void a claim", lambda c: c.voiding("claim:c"), RuleBroken, ""),
    ("void a source", lambda c: c.voiding("source:witness"), RuleBroken, ""),
    ("void what is repeated", lambda c: c.voiding("statement:said"), RuleBroken, ""),
    ("void what was copied", lambda c: c.voiding("evidence:film"), RuleBroken, ""),
    ("void what is rested on", lambda c: c.voiding("evidence:proof"), RuleBroken, ""),
    ("void what was answered", lambda c: c.voiding("inquiry:answered"), RuleBroken, ""),
    ("void what a part reads", lambda c: c.voiding("statement:lent"), RuleBroken, ""),
    ("published tomorrow", lambda c: c.publication("c", published_at=LATER), RuleBroken, "/published_at"),
    ("relies on one claim twice", lambda c: c.publication("c", "c"), RuleBroken, "/claims"),
    ("relies on nothing", lambda c: c.publication("c", "nothing"), UnknownReference, "/claims/1/claim_id"),
    ("text corrected tomorrow", lambda c: fixed(c.claim_id, at=LATER), RuleBroken, "/at"),
    ("text on nothing", lambda c: fixed(c.claim_id, ABSENT), NotOnRecord, ""),
]
ROWS = [*CLAIMS, *STATEMENTS, *EVIDENCE, *DESK]


@pytest.mark.parametrize(("propose", "refusal", "pointer"), [row[1:] for row in ROWS], ids=[row[0] for row in ROWS])
def test_what_is_refused_says_why_and_where_and_records_nothing(
    case: Case, propose: Callable[[Case], Event], refusal: type[Refusal], pointer: str
) -> None:
    """A refusal has its type, points to the part of the proposal that it is about, and leaves everything as it was."""
    prepare(case)
    world = case.world()
    before = msgspec.json.encode(world.facts)
    fine = case.statement("witness", name="fine")
    with pytest.raises(Refusal) as refused:
        decide.on_claims([fine, propose(case)], world, NOW)
    assert (refusal, pointer, 1) == (type(refused.value), refused.value.pointer, refused.value.proposal)
    assert refused.value.detail
    assert before == msgspec.json.encode(world.facts)


def test_what_is_close_to_a_refusal_is_recorded(case: Case) -> None:
    """What is refused ends where it should: these are not."""
    prepare(case)
    for fine in (
        case.statement("witness", said_at=SOON, published_at=SOON),
        case.statement("witness", said_at="2027"),
        case.shown(public=SOON, by="witness", derived_from="film"),
        case.challenged("film", "red-gov"),
        case.challenged("proof"),
        noted(case.claim_id),
        noted(case.claim_id, source_id=case.id_of("source", "red-gov"), publisher_id=case.id_of("source", "agency")),
        case.authentication("film"),
        case.inquiry("red-gov", name="new", deadline="2027"),
        answered(case, "asked", at=SOON, statement_id=case.id_of("statement", "said")),
        answered(case, "expired"),
        expired(case, "asked"),
        case.voiding("assessment:revoked"),
        case.voiding("assessment:first"),
        case.voiding("inquiry:asked"),
        case.voiding("statement:answer"),
        case.voiding("evidence:copy"),
        case.voiding("statement:resting"),
        case.voiding("statement:repeated"),
        case.correction("repeated", hedge="likely"),
        case.withdrawal("repeated", by="silent", at=SOON),
        case.splits({"part": ["lent", "said"]}),
        merged(case, "counted", "c"),
        merged(case, "part", "c"),
        unmerged(case, "negation"),
        case.registered("new", parent_id="part", sum_of={"counted": "killed"}, serves=[], harms=["blue"], **KILLED),
        case.updated("part", text="Otherwise."),
        case.publication("c", "part"),
        fixed(case.claim_id),
    ):
        assert type(fine) is type(case.decided(fine, now=NOW).events[0])


def test_no_claim_is_added_to_a_story_that_is_closed_and_what_is_on_record_is_amended(case: Case) -> None:
    """Closing a story ends nothing but new claims."""
    case.says("witness", name="said")
    case.close()
    with pytest.raises(RuleBroken) as refused:
        case.decided(case.registered("new"))
    assert refused.value.pointer == "/story_id"
    assert case.decided(case.statement("neighbour"), case.withdrawal("said"), case.assessment())


def test_a_claim_with_more_than_two_hundred_others_takes_no_more(case: Case) -> None:
    """Claims are read together, so there is an end to how many."""
    for n in range(MOST_TOGETHER - 1):
        case.claim(f"member-{n}")
    assert case.decided(merged(case, "member-0", "c"))
    case.claim("one-more")
    with pytest.raises(RuleBroken) as refused:
        case.decided(merged(case, "member-0", "c"))
    assert refused.value.pointer == "/into"


# ------------------------------------------------------------------------------ what a check completes


def test_a_correction_is_recorded_with_what_was_said_until_now(case: Case) -> None:
    """What was before is filled in where the record knows it, corrections included, and kept where it was given."""
    case.says("witness", name="said", said_at="2023-01-02")
    case.correct("said", hedge="likely")
    proposed = case.correction("said", hedge="possible", stance="denies", quote="No.")
    recorded = case.decided(proposed).events[0]
    assert isinstance(recorded, catalog.StatementCorrected)
    assert msgspec.to_builtins(recorded.correction.before) == {"hedge": "likely", "stance": "asserts"}
    assert proposed.correction.after == recorded.correction.after


def test_a_withdrawal_is_recorded_with_our_texts_that_relied_on_the_claim(case: Case) -> None:
    """Those that came out while the statement stood."""
    case.publish("c", name="before")
    case.says("witness", name="said")
    case.publish("c", name="first")
    case.publish("c", name="second")
    recorded = case.decided(case.withdrawal("said")).events[0]
    assert isinstance(recorded, catalog.StatementWithdrawn)
    assert tuple(case.id_of("publication", name) for name in ("first", "second")) == recorded.relied_on_by


def test_an_unmerge_is_recorded_with_the_claim_that_it_leaves(case: Case) -> None:
    """Nobody needs to say into what a claim was merged."""
    case.claim("other")
    case.merge("other")
    recorded = case.decided(unmerged(case, "other")).events[0]
    assert isinstance(recorded, catalog.ClaimUnmerged)
    assert case.claim_id == recorded.out_of


def test_a_text_is_recorded_with_the_states_in_which_it_took_its_claims(case: Case) -> None:
    """Those on record, unless it says others."""
    for event in case.decided(case.statement("witness", "denies")).events:
        case.record(event)
    case.claim("other")
    recorded = case.decided(case.publication("c", "other")).events[0]
    assert isinstance(recorded, catalog.PublicationRecorded)
    assert [use.state for use in recorded.publication.claims] == ["denied", None]


# ----------------------------------------------------------------------------- stories, sources, policies


def test_a_story_is_updated_and_closed_once(case: Case) -> None:
    """What changes nothing is on record already; allies are parties after the update as well."""
    story_id = case.story_id

    def updated(**changes: Any) -> Event:
        return catalog.StoryUpdated(story_id=story_id, changes=msgspec.convert(changes, records.StoryChanges))

    closing = catalog.StoryClosed(story_id=story_id, closing=records.Closing())
    for fine in (updated(title="Anew"), updated(parties=["red"]), closing):
        assert (fine,) == decide.on_story(fine, case.story)
    for nothing in (updated(), updated(title="A story", parties=["red", "blue"])):
        with pytest.raises(AlreadyRecorded):
            decide.on_story(nothing, case.story)
    for allies in ({"red": ["red"]}, {"red": ["green"]}):
        with pytest.raises(RuleBroken) as refused:
            decide.on_story(updated(allies=allies), case.story)
        assert refused.value.pointer == "/allies/red"
    case.update_story(allies={"green": ["blue"]})
    with pytest.raises(RuleBroken) as refused:
        decide.on_story(updated(parties=["red"]), case.story)
    assert refused.value.pointer == "/allies/green"
    case.close()
    with pytest.raises(AlreadyRecorded):
        decide.on_story(closing, case.story)
    case.update_story(title="Anew")
    assert case.story[-1].closed


def test_a_source_is_updated_to_something_else_and_never_answers_to_itself(case: Case) -> None:
    """Affiliations are to sources on record, and never in a circle, at any remove."""

    def updated(name: str, **changes: Any) -> Event:
        said = msgspec.convert(changes, records.SourceChanges)
        return catalog.SourceUpdated(source_id=case.id_of("source", name), changes=said)

    sources = case.sources.now
    case.source("desk", kind="organisation", affiliated_to=["red-mod"])
    sources = case.sources.now
    for nothing in (updated("red-gov"), updated("red-gov", parties=["red"], identity=None)):
        with pytest.raises(AlreadyRecorded):
            decide.on_source(nothing, sources)
    for name, upper, refusal in (
        ("red-gov", ["red-gov"], RuleBroken),
        ("red-gov", ["red-mod"], RuleBroken),
        ("red-gov", ["desk"], RuleBroken),
        ("red-gov", ["nobody"], UnknownReference),
    ):
        ids = [case.id_of("source", each) for each in ("witness", *upper)]
        with pytest.raises(refusal) as refused:
            decide.on_source(updated(name, affiliated_to=ids), sources)
        assert refused.value.pointer == "/affiliated_to/1"
    fine = updated("desk", affiliated_to=[case.id_of("source", "red-gov")])
    assert (fine,) == decide.on_source(fine, sources)
    own = case.id_of("source", "new")
    registered = catalog.SourceRegistered(
        source_id=own, source=records.Source(name="n", kind=SourceKind.PERSON, affiliated_to=(own,))
    )
    with pytest.raises((RuleBroken, UnknownReference)):
        decide.on_source(registered, sources)


def policy(**said: Any) -> catalog.PolicyActivated:
    """Return a policy to be activated."""
    return catalog.PolicyActivated(policy=msgspec.convert({"name": "ours"} | said, Policy))


POLICIES: list[tuple[dict[str, Any], type[Refusal], str]] = [
    ({"name": "strict-two-source"}, AlreadyRecorded, ""),
    ({"name": "strict-two-source", "version": 2}, RuleBroken, "/name"),
    ({"name": "admiralty"}, RuleBroken, "/name"),
    ({"name": "permissive-tracker", "min_origins": 3}, RuleBroken, "/name"),
    ({"name": "earlier", "min_origins": 4}, RuleBroken, "/version"),
    ({"countable_grades": ["A", "E"]}, RuleBroken, "/excluded_grades"),
    ({"single_source_grades": ["A", "E"]}, RuleBroken, "/single_source_grades"),
    ({"single_source_grades": ["A", "B"], "countable_grades": ["A"]}, RuleBroken, "/single_source_grades"),
    ({"excluded_grades": ["E", "E"]}, RuleBroken, "/excluded_grades"),
    ({"countable_grades": ["A", "A"]}, RuleBroken, "/countable_grades"),
]


@pytest.mark.parametrize(("said", "refusal", "pointer"), POLICIES)
def test_a_policy_that_contradicts_itself_or_another_is_refused(
    said: dict[str, Any], refusal: type[Refusal], pointer: str
) -> None:
    """A name and version always mean the same rules, and a grade is enough only if it counts."""
    earlier = [Policy(name="earlier"), STRICT_TWO_SOURCE]
    with pytest.raises(Refusal) as refused:
        decide.on_policy(policy(**said), earlier)
    assert (refusal, pointer) == (type(refused.value), refused.value.pointer)


def test_a_policy_may_be_activated_again_or_in_a_new_version() -> None:
    """What was in force once may be so again; other rules have another version."""
    earlier = [Policy(name="earlier"), STRICT_TWO_SOURCE]
    for fine in (
        policy(name="earlier"),
        policy(name="earlier", version=2, min_origins=4),
        policy(single_source_grades=["A"], countable_grades=["A", "B"], excluded_grades=[]),
        *(catalog.PolicyActivated(policy=each) for each in (ADMIRALTY, PERMISSIVE_TRACKER)),
    ):
        assert (fine,) == decide.on_policy(fine, earlier)
    assert {"strict-two-source", "permissive-tracker", "admiralty"} == {*BUILT_IN}
