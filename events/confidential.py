"""What is confidential: what a caller may say in confidence, under whose key it is sealed, and where it is put.

An event holds it as ``sealed``, and only so. What is said in confidence about a thing is sealed under the key of its
*subject*, the person or source whom it is about: when that key is deleted, nobody can read it any more, wherever it
was copied. Whatever is sealed here never reaches the rules.
"""

from typing import Annotated, Any, ClassVar

from msgspec import Meta, structs

from events import catalog, records
from events.catalog import Event
from events.words import LongText, Part, Sealed, Text


class Confidential(Part, frozen=True):
    """What is said in confidence: at least one of its members."""

    LARGEST: ClassVar[int] = 14 * 1024
    """Bytes of JSON that can be sealed in one value."""

    def __post_init__(self) -> None:
        if all(getattr(self, name) is None for name in self.__struct_fields__):
            raise ValueError(f"say at least one of {', '.join(self.__struct_fields__)}")


Note = Annotated[LongText, Meta(description="A note for the desk.")]


class ConfidentialSource(Confidential, frozen=True):
    """Who a protected source is, how to reach it, and a note. What changes later replaces all of it."""

    identity: Text | None = None
    contact: Text | None = None
    note: Note | None = None


class ConfidentialNote(Confidential, frozen=True):
    """A note for the desk."""

    note: Note | None = None


class ConfidentialJudgement(Confidential, frozen=True):
    """The name of the person who judged (``by`` is their identifier), and a note for the desk."""

    by_name: Text | None = None
    note: Note | None = None


SHAPES: dict[type, type[Confidential]] = {
    records.Source: ConfidentialSource,
    records.SourceChanges: ConfidentialSource,
    records.Statement: ConfidentialNote,
    records.Evidence: ConfidentialNote,
    records.Inquiry: ConfidentialNote,
    records.Authentication: ConfidentialJudgement,
    records.Assessment: ConfidentialJudgement,
}
"""What can be said in confidence with each thing that is put on record."""

_HELD_IN: dict[type[Event], str] = {
    catalog.SourceRegistered: "source",
    catalog.SourceUpdated: "changes",
    catalog.StatementRecorded: "statement",
    catalog.EvidenceAdded: "evidence",
    catalog.EvidenceAuthenticated: "authentication",
    catalog.InquirySent: "inquiry",
    catalog.AssessmentMade: "assessment",
}
"""Events that can hold a sealed value, and the member that has it."""


def can_hold(event: Event) -> bool:
    """Whether an event can hold what is said in confidence."""
    return type(event) in _HELD_IN


def holding(event: Event, sealed: Sealed) -> Event:
    """Return an event that can hold a sealed value, with one."""
    member = _HELD_IN[type(event)]
    held: dict[str, Any] = {member: structs.replace(getattr(event, member), sealed=sealed)}
    return structs.replace(event, **held)


def subject_sealed(event: Event) -> str:
    """Return under whose key an event's confidential value is sealed: a source's, a person's, or the evidence's own.

    What is noted on a statement or an inquiry is about its source, what is noted on evidence about its supplier.
    """
    match event:
        case catalog.SourceRegistered() | catalog.SourceUpdated():
            return event.source_id
        case catalog.StatementRecorded(statement=said):
            return said.speaker_id
        case catalog.EvidenceAdded(evidence=added):
            return added.supplied_by or event.evidence_id
        case catalog.EvidenceAuthenticated(authentication=found):
            return found.by
        case catalog.InquirySent(inquiry=asked):
            return asked.source_id
        case catalog.AssessmentMade(assessment=made):
            return made.by
    raise TypeError(f"{event.TYPE} holds nothing confidential")
