"""Identifiers: typed, sortable when new, and always the same when derived."""

import re
from typing import get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from events import identifiers
from events.identifiers import Kind, derived_id, new_epoch, new_event_id, new_id

KINDS: tuple[Kind, ...] = get_args(Kind)
OWN_TYPES: dict[str, object] = {
    "story": identifiers.StoryId,
    "claim": identifiers.ClaimId,
    "source": identifiers.SourceId,
    "statement": identifiers.StatementId,
    "evidence": identifiers.EvidenceId,
    "assessment": identifiers.AssessmentId,
    "webhook": identifiers.WebhookId,
    "person": identifiers.PersonId,
}
keys = st.text("abcdefghijklmnopqrstuvwxyz0123456789-", min_size=1, max_size=20)


@pytest.mark.parametrize("kind", KINDS)
def test_an_identifier_names_its_kind_and_128_bits(kind: Kind) -> None:
    """An identifier is its kind, an underscore and 26 characters of Crockford's base32, the first of them 0 to 7."""
    for identifier in (new_id(kind), derived_id(kind, "il76", "ap")):
        assert re.fullmatch(f"{kind}_[0-7][0-9abcdefghjkmnpqrstvwxyz]{{25}}", identifier)


@pytest.mark.parametrize("kind", OWN_TYPES)
def test_an_identifier_fits_the_type_of_its_kind_and_no_other(kind: Kind) -> None:
    """What the service makes it accepts, and an identifier of another kind in its place it refuses."""
    for made in (new_id(kind), derived_id(kind, "il76", "ap")):
        for other, type_ in OWN_TYPES.items():
            if other == kind:
                assert made == msgspec.convert(made, type_)
            else:
                with pytest.raises(msgspec.ValidationError):
                    msgspec.convert(made, type_)


@pytest.mark.parametrize(
    "text",
    [
        "claim_",
        "claim_0123456789abcdefghjkmnpqr",
        "claim_0123456789abcdefghjkmnpqrst",
        "claim_8123456789abcdefghjkmnpqrs",
        "claim_0123456789ABCDEFGHJKMNPQRS",
        "claim_i123456789abcdefghjkmnpqrs",
        "claim_0l23456789abcdefghjkmnpqrs",
        "claim_0o23456789abcdefghjkmnpqrs",
        "claim_0u23456789abcdefghjkmnpqrs",
        "0123456789abcdefghjkmnpqrs",
        " claim_0123456789abcdefghjkmnpqrs",
        "claim_0123456789abcdefghjkmnpqrs ",
        "claim_0123456789abcdefghjkmnpqrs\n",
    ],
)
def test_what_is_no_identifier_is_refused(text: str) -> None:
    """Another length, capitals, letters that Crockford leaves out, or anything around it, make it no identifier."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, identifiers.ClaimId)


def test_rests_on_takes_sources_and_evidence_and_nothing_else() -> None:
    """A statement rests on sources and on evidence; a claim in that place is refused."""
    for kind in ("source", "evidence"):
        assert derived_id(kind, "a") == msgspec.convert(derived_id(kind, "a"), identifiers.SourceOrEvidenceId)
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(derived_id("claim", "a"), identifiers.SourceOrEvidenceId)


def test_later_identifiers_sort_after_earlier_ones() -> None:
    """Identifiers made one after another sort in that order, also within one millisecond."""
    made = [new_id("statement") for _ in range(5_000)]
    assert sorted(made) == made
    assert len(made) == len(set(made))


@given(st.sampled_from(KINDS), st.lists(keys, min_size=1, max_size=4))
def test_the_same_parts_always_give_the_same_identifier(kind: Kind, parts: list[str]) -> None:
    """What is imported twice has the same identifiers twice."""
    assert derived_id(kind, *parts) == derived_id(kind, *parts)


@given(
    st.tuples(st.sampled_from(KINDS), st.lists(keys, min_size=1, max_size=3)),
    st.tuples(st.sampled_from(KINDS), st.lists(keys, min_size=1, max_size=3)),
)
def test_other_parts_give_another_identifier(one: tuple[Kind, list[str]], other: tuple[Kind, list[str]]) -> None:
    """Another kind, other keys, or the same letters divided otherwise give another identifier."""
    same = one == other
    assert same == (derived_id(one[0], *one[1]) == derived_id(other[0], *other[1]))
    assert same == (derived_id("claim", one[0], *one[1]) == derived_id("claim", other[0], *other[1]))


def test_a_derived_identifier_stays_what_it_was_in_every_release() -> None:
    """Identifiers that other systems have kept stay valid: these values are for ever."""
    assert derived_id("story", "il76") == "story_2bhrc7vph3hrpa0rstmhfdyg35"
    assert derived_id("claim", "il76", "fell") == "claim_7r3sfrhftxhzt8zbdnq66qxzf8"


def test_an_event_id_is_a_uuid_of_version_7() -> None:
    """Event ids are UUIDs that sort by when they were made."""
    made = [new_event_id() for _ in range(1_000)]
    assert all(re.fullmatch("[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", it) for it in made)
    assert sorted(made) == made


def test_epochs_are_short_and_differ() -> None:
    """An epoch is 13 characters without a dot, so that a cursor can be divided again."""
    made = {new_epoch() for _ in range(1_000)}
    assert len(made) == 1_000
    assert all(re.fullmatch(r"[0-9a-z]{13}", epoch) for epoch in made)
