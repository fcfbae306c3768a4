"""Flags: the exact conditions under which a verdict says to be careful (rules, section 8)."""

from collections.abc import Set as AbstractSet

from events.words import Flag, Stance
from service.verification import quantities
from service.verification.voices import POSITIONAL, UNATTRIBUTED, Voice, Voices, Weight

_TWO = 2
_FOR_IT = (Stance.ASSERTS, Stance.CONFIRMS)
_ENDS_AN_INVESTIGATION = POSITIONAL.keys() | {Stance.UNABLE_TO_VERIFY}


def raised(voices: Voices, origins: int) -> set[Flag]:
    """Return the flags of a claim, ``needs_review`` aside. ``origins`` is n of the rules."""
    conditions = (
        (Flag.SINGLE_ORIGIN, origins < _TWO and bool(voices.full_supports or voices.supporting)),
        (Flag.INTERESTED_PARTIES_ONLY, _interested_parties_only(voices)),
        (Flag.UNNAMED_SOURCE, any(voice.speaker.withheld for voice in voices.effective)),
        (Flag.ORIGIN_UNKNOWN, UNATTRIBUTED in voices.left_out),
        (Flag.NO_EVIDENCE_SUPPLIED, _no_evidence_supplied(voices)),
        (Flag.UNDER_INVESTIGATION, _open(voices, Stance.INVESTIGATING, _ENDS_AN_INVESTIGATION)),
        (Flag.COULD_NOT_BE_VERIFIED, _could_not_be_verified(voices)),
        (Flag.SELF_CONTRADICTED, _self_contradicted(voices)),
        (Flag.PARTIALLY_CONFIRMED, bool(voices.by_weight[Weight.PARTIAL_SUPPORT])),
        (Flag.PARTIALLY_DENIED, bool(voices.by_weight[Weight.PARTIAL_DENIAL])),
        (Flag.FIGURES_DISAGREE, _figures_disagree(voices)),
        (Flag.DENIED_BY_INTERESTED_PARTY, _all_interested(voices.denials)),
        (Flag.EVIDENCE_CHALLENGED, _evidence_challenged(voices)),
        (Flag.CORRECTED, _corrected(voices)),
        (Flag.DECLARED, _declared(voices)),
    )
    return {flag for flag, holds in conditions if holds}


def _all_interested(voices: list[Voice]) -> bool:
    return bool(voices) and all(voice.interest == "interested" for voice in voices)


def _interested_parties_only(voices: Voices) -> bool:
    counting = [voice for voice in voices.full_supports if voice.counts]
    return _all_interested(counting) and all(item.interest == "interested" for item in voices.supporting)


def _no_evidence_supplied(voices: Voices) -> bool:
    shown = voices.record.evidence.values()
    if not voices.full_supports or any(item.bearing == "supports" and item.status != "challenged" for item in shown):
        return False
    offered = {voice.statement.evidence_offered for voice in voices.full_supports}
    return "supplied" not in offered and (voices.record.absence_noted or "described" in offered)


def _open(voices: Voices, stance: Stance, closing: AbstractSet[Stance], *, since: int = 0) -> bool:
    """Whether a speaker took ``stance``, no position (recorded after ``since``), and no ``closing`` one later."""
    taken = [said for said in voices.no_positions if said.stance is stance and said.position > since]
    if not taken:
        return False
    latest: dict[str, int] = {}
    for said in voices.in_force.values():
        if said.stance in closing:
            latest[said.speaker_id] = max(said.lo, latest.get(said.speaker_id, said.lo))
    return any(latest.get(said.speaker_id, said.hi) <= said.hi for said in taken)


def _could_not_be_verified(voices: Voices) -> bool:
    assessed = voices.record.assessment
    since = assessed.position if assessed and assessed.verdict != "unverifiable" else 0
    return _open(voices, Stance.UNABLE_TO_VERIFY, POSITIONAL.keys(), since=since)


def _self_contradicted(voices: Voices) -> bool:
    for line in voices.lines.values():
        if len(line) > 1:
            stances = {said.stance for said in line}
            if Stance.DENIES in stances and not stances.isdisjoint(_FOR_IT):
                return True
    denying = voices.by_weight[Weight.DENIAL]
    if not (denying and voices.full_supports):
        return False
    supporting = set().union(*{voice.marks for voice in voices.full_supports})
    shared = supporting & set().union(*{voice.marks for voice in denying})
    return any(not mark.startswith("evidence:") for mark in shared)


def _figures_disagree(voices: Voices) -> bool:
    claimed, tolerance = voices.record.claim.quantities, voices.policy.about_tolerance
    stated = [figure for voice in voices.effective for figure in voice.statement.quantities]
    if quantities.disagree([*claimed, *stated], tolerance):
        return True
    return sum_disagrees(voices)


def sum_disagrees(voices: Voices) -> bool:
    """Whether the claim's figure cannot be the sum that it is said to be."""
    terms, tolerance = voices.scene.summands, voices.policy.about_tolerance
    claimed = voices.record.claim.quantities
    return bool(terms) and any(quantities.disjoint_from_sum(figure, terms, tolerance) for figure in claimed)


def _evidence_challenged(voices: Voices) -> bool:
    return any(item.disputed and item.bearing != "context" for item in voices.record.evidence.values())


def _corrected(voices: Voices) -> bool:
    by_publisher = any(each.by != "speaker" for said in voices.record.withdrawn for each in said.withdrawals)
    return by_publisher or not voices.record.corrected.isdisjoint(voices.in_force)


def _declared(voices: Voices) -> bool:
    declarer = voices.record.claim.declared_by
    if declarer is None:
        return False
    roots = voices.sources[declarer].roots

    def declares(voice: Voice) -> bool:
        return not voice.speaker.withheld and not roots.isdisjoint(voice.speaker.roots)

    return any(map(declares, voices.full_supports)) and not any(map(declares, voices.denials))


def substance(voices: Voices, state: str) -> tuple[object, ...]:
    """Return what an assessment judged: if any of it differs later, the assessment needs review.

    ``state`` is the one without assessments.
    """
    claim = voices.record.claim
    return (
        state,
        {(voice.statement.speaker_id, voice.weight, voice.statement.quantities) for voice in voices.effective},
        {(item.evidence_id, item.bearing, item.status, item.disputed) for item in voices.record.evidence.values()},
        (claim.text, claim.quantities, claim.serves, claim.harms),
    )
