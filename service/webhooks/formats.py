"""What a webhook is sent: the ledger's bytes, or a message for a chat that an editor wants to read.

A message says the claim, where it stood and stands, why (the first reason), who, and where to read more. Names are
those on record: of a protected source its pseudonym.
"""

import contextlib
import re
from collections.abc import Iterable, Iterator
from typing import Any, Final

import msgspec
from msgspec import Struct

from events import catalog
from events.endpoints import Format
from events.envelope import Entry, subject_of
from events.errors import UnreadableEvent
from service.projections.catalog import CLAIMS, SOURCES, STORIES
from service.projections.documents import ClaimWithStatements, SourceDocument, StoryDocument
from service.projections.queries import NotThereYet, Queries
from service.verification.explain import sentences
from service.verification.policy import Verdict
from service.webhooks.messages import CHAT, CLOUDEVENT, Message
from service.webhooks.traits import Traits

_UNLINKED = re.compile(r"[<>|\s]")
"""What cannot be in a link of Slack's."""
_MOST_NAMED: Final = 3
_LONGEST: Final = 600
"""Characters of a text that a message quotes."""
_HEADLINES: Final = {
    "claim.registered": "A claim is on record",
    "claim.merged": "A claim was merged into another",
    "claim.unmerged": "A claim stands by itself again",
    "claim.split": "A claim was split",
    "statement.recorded": "A statement is on record",
    "statement.corrected": "A statement was corrected",
    "statement.withdrawn": "A statement was withdrawn",
    "evidence.added": "Evidence is on record",
    "evidence.authenticated": "Evidence was authenticated",
    "evidence.challenged": "Evidence was challenged",
    "evidence.absence_noted": "No evidence was offered",
    "inquiry.sent": "A source was asked to respond",
    "inquiry.answered": "A source responded",
    "inquiry.expired": "A source did not respond in time",
    "assessment.made": "The desk assessed a claim",
    "assessment.revoked": "The desk took back its assessment",
    "recording.voided": "Something was voided: it was our mistake",
    "publication.corrected": "A text of ours was corrected",
    "webhook.disabled": "A webhook was disabled",
    "webhook.circuit_opened": "An endpoint of ours does not answer",
    "webhook.circuit_closed": "An endpoint of ours answers again",
}


class Note(Struct, frozen=True, omit_defaults=True):
    """What a message says, in plain text."""

    headline: str
    text: str = ""
    story: str = ""
    was: str = ""
    now: str = ""
    flags: tuple[str, ...] = ()
    why: str = ""
    who: str = ""
    link: str = ""


class Formats:
    """Makes messages of events. ``link`` leads to a claim's page, its identifier in the place of ``{claim}``."""

    def __init__(self, queries: Queries, link: str = "") -> None:
        self._queries, self._link = queries, link

    async def message(self, entry: Entry, format_: Format) -> Message:
        """Return what is sent of an event."""
        if format_ == "cloudevents":
            return Message(entry.envelope.id, entry.raw, CLOUDEVENT)
        note = await self.note(entry)
        content = slack(note) if format_ == "slack" else teams(note)
        return Message(entry.envelope.id, msgspec.json.encode(content), CHAT)

    async def note(self, entry: Entry) -> Note:
        """Return what there is to say of an event to an editor."""
        headline = _HEADLINES.get(entry.envelope.type, entry.envelope.type)
        try:
            event = entry.event
        except UnreadableEvent:
            return Note(headline)
        claim_id = Traits(entry).claim
        if not claim_id:
            return Note(headline, text=subject_of(event))
        with contextlib.suppress(NotThereYet):  # then it says what there is
            await self._queries.wait_for(CLAIMS, entry.position)
        claim = await self._claim(claim_id)
        text = _shortened(claim.claim.text) if claim else claim_id
        story = await self._story(claim.claim.story_id) if claim else ""
        link = self._link.replace("{claim}", claim_id)
        if not isinstance(event, catalog.ClaimStateChanged):
            who = await self._names(_heard(event))
            return Note(headline, text, story, who=who, link=link, why=_said(event))
        verdict = Verdict(event.to, event.flags, event.credibility, event.because)
        reasons = sentences(verdict)
        fired = next((reason for reason in reasons[1:] if reason.ids), reasons[0])
        speakers = [] if claim is None else [
            item.statement.speaker_id for item in claim.statements if item.id in fired.ids
        ]  # fmt: skip
        return Note(
            f"{_words(event.to.value).capitalize()}: a claim moved",
            text,
            story,
            was=_words(event.from_.value) if event.from_ else "",
            now=_words(event.to.value),
            flags=tuple(_words(flag.value) for flag in event.flags),
            why=fired.sentence,
            who=await self._names(speakers) or ("The desk" if event.because.rule == "assessed" else ""),
            link=link,
        )

    async def _claim(self, claim_id: str) -> ClaimWithStatements | None:
        found = await self._queries.document(CLAIMS, claim_id, listed="statements")
        return msgspec.json.decode(found.raw, type=ClaimWithStatements) if found else None

    async def _story(self, story_id: str) -> str:
        found = await self._queries.document(STORIES, story_id)
        return msgspec.json.decode(found.raw, type=StoryDocument).story.title if found else ""

    async def _names(self, source_ids: Iterable[str]) -> str:
        """Return the names of sources, in the order in which they are given."""
        wanted = list(dict.fromkeys(source_ids))
        found = await self._queries.documents(SOURCES, wanted[:_MOST_NAMED]) if wanted else []
        names = [msgspec.json.decode(raw, type=SourceDocument).source.name for raw in found]
        more = len(wanted) - _MOST_NAMED
        return ", ".join(names) + (f" and {more} more" if more > 0 else "")


def slack(note: Note) -> dict[str, Any]:
    """Return a message for an incoming webhook of Slack (Block Kit); what is quoted has no markup of its own."""
    said = {name: _for_slack(getattr(note, name)) for name in ("headline", "text", "was", "now", "why", "who", "story")}
    fields = [f"*Was*\n{said['was'] or 'new'}", f"*Now*\n{said['now']}"] if note.now else []
    fields += [f"*Who*\n{said['who']}"] if note.who else []
    fields += [f"*Careful*\n{_for_slack(', '.join(note.flags))}"] if note.flags else []
    quoted = f"*{said['headline']}*" + (f"\n>{said['text']}" if note.text else "")
    blocks: list[dict[str, Any]] = [_section(quoted)]
    if note.why:
        blocks.append(_section(said["why"]))
    if fields:
        blocks.append({"type": "section", "fields": [{"type": "mrkdwn", "text": field} for field in fields]})
    foot = [said["story"]] if note.story else []
    foot += [f"<{_UNLINKED.sub('', note.link)}|Read the record>"] if note.link else []
    if foot:
        blocks.append({"type": "context", "elements": [{"type": "mrkdwn", "text": " · ".join(foot)}]})
    moved = f" ({note.was or 'new'} → {note.now})" if note.now else ""
    return {"text": _for_slack(f"{note.headline}: {note.text}{moved}"), "blocks": blocks}


def teams(note: Note) -> dict[str, Any]:
    """Return a message for a workflow of Teams (Adaptive Card 1.4); what is quoted has no markup of its own."""
    facts = [("Was", note.was or "new"), ("Now", note.now)] if note.now else []
    facts += [("Why", note.why)] if note.why else []
    facts += [("Who", note.who)] if note.who else []
    facts += [("Careful", ", ".join(note.flags))] if note.flags else []
    facts += [("Story", note.story)] if note.story else []
    body: list[dict[str, Any]] = [_text(note.headline, weight="Bolder", size="Medium")]
    body += [_text(note.text)] if note.text else []
    if facts:
        body.append(
            {"type": "FactSet", "facts": [{"title": name, "value": _for_teams(value)} for name, value in facts]}
        )
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": body,
    }
    if note.link:
        card["actions"] = [{"type": "Action.OpenUrl", "title": "Read the record", "url": note.link}]
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    return {"type": "message", "attachments": [attachment]}


def _section(text: str) -> dict[str, Any]:
    return {"type": "section", "text": {"type": "mrkdwn", "text": text}}


def _text(text: str, **more: str) -> dict[str, Any]:
    return {"type": "TextBlock", "text": _for_teams(text), "wrap": True, **more}


def _for_slack(text: str) -> str:
    """Return a text in which Slack finds no mention, link or emphasis of ours to misread."""
    flat = " ".join(text.split())
    escaped = flat.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return "".join(f"{character}\u200b" if character in "*_~`" else character for character in escaped)


def _for_teams(text: str) -> str:
    """Return a text with whatever a card reads as Markdown escaped."""
    flat = " ".join(text.split())
    return "".join(f"\\{character}" if character in "\\*_[]()#`~<>!" else character for character in flat)


def _words(value: str) -> str:
    return value.replace("_", " ")


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def _said(event: catalog.Event) -> str:
    """Return what was said in an event, in a few words."""
    match event:
        case catalog.StatementRecorded(statement=said):
            quote = f": “{_shortened(said.quote)}”" if said.quote else ""
            return f"{_words(said.stance.value)}{quote}"
        case catalog.AssessmentMade(assessment=made):
            return f"{made.verdict}: {_shortened(made.rationale)}"
        case catalog.EvidenceChallenged(challenge=challenge):
            return _shortened(challenge.ground)
        case catalog.EvidenceAdded(evidence=added):
            return _shortened(added.description)
        case _:
            return ""


def _heard(event: catalog.Event) -> Iterator[str]:
    """Yield the sources that speak, publish, relay or supply in an event."""
    match event:
        case catalog.StatementRecorded(statement=said):
            yield from (each for each in (said.speaker_id, said.publisher_id, *said.relay_ids) if each)
        case catalog.EvidenceAdded(evidence=added) if added.supplied_by:
            yield added.supplied_by
        case catalog.InquirySent(inquiry=asked):
            yield asked.source_id
        case catalog.EvidenceChallenged(challenge=challenge) if challenge.source_id:
            yield challenge.source_id
