"""Flags: for each, what raises it and what only just does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from operator import methodcaller
from typing import TYPE_CHECKING, Any

import pytest

from events.words import Flag

if TYPE_CHECKING:
    from tests.unit.verification.conftest import Case

Step = Callable[[Any], object]
says = partial(methodcaller, "says")
shows = partial(methodcaller, "evidence")
assess = partial(methodcaller, "assess")
absence = methodcaller("absence")
challenge = partial(methodcaller, "challenge")
authenticate = partial(methodcaller, "authenticate")
ask = partial(methodcaller, "ask")
grade = partial(methodcaller, "grade")
revoke = partial(methodcaller, "revoke")
void = partial(methodcaller, "void")
correct = partial(methodcaller, "correct")
withdraw = partial(methodcaller, "withdraw")
on_24, on_25 = {"said_at": "2024-01-24"}, {"said_at": "2024-01-25"}


def killed(value: float, **more: str) -> dict[str, Any]:
    """Return a figure as a statement's or a claim's only one."""
    return {"quantities": [{"measure": "killed", "value": value, **more}]}


def sums(*terms: int) -> Step:
    """Return the step that gives the claim these terms of its sum."""
    return methodcaller("sums", *({"measure": "killed", "value": term} for term in terms))


def declare(source: str | None) -> Step:
    """Return the step that says whose own doing the claim is."""
    return methodcaller("update", declared_by=source)


def sums_of_none(case: Case) -> None:
    """Make the claim the sum of a figure that its term no longer gives."""
    case.claim("part", **killed(1))
    case.update(sum_of={"part": "killed"}, **killed(74))
    case.update("part", quantities=[])


DECLARED = {"declared_by": "red-mod"}
MATERIAL: list[dict[str, Any]] = [{"text": "Otherwise."}, killed(1), {"serves": ["blue"]}, {"harms": None}]
"""Changes of a claim that an assessment did not judge."""
IMMATERIAL: list[dict[str, Any]] = [{"tags": ["far"]}, {"declared_by": "red-gov"}, {"hedge": "likely"}]
"""Changes of a claim that leave what was judged."""
SUBSTANTIAL: list[dict[str, Any]] = [
    {"stance": "denies"},
    {"hedge": "likely"},
    {"speaker": "neighbour"},
    killed(3),
]
"""Corrections that the flag is raised for: of stance, hedge, speaker, figures."""
INCIDENTAL: list[dict[str, Any]] = [
    {"said_at": "2024"},
    {"published_at": "2024"},
    {"quote": "So it was."},
    {"basis": "first_hand"},
    {"rests_on": ["source:neighbour"]},
    {"evidence_offered": "described"},
]
"""Corrections that it is not raised for."""
CASES: dict[Flag, tuple[list[Sequence[Any]], list[Sequence[Any]]]] = {
    # the flag: what raises it, what does not; a dict at the beginning is what the claim says
    Flag.SINGLE_ORIGIN: (
        [
            [says("witness")],
            [says("witness"), says("neighbour", "denies")],
            [says("red-gov"), says("red-mod"), says("red-leak")],
            [says("somebody")],
            [shows(authentic=True)],
            [says("witness"), shows()],
            [says("witness"), says("neighbour", "partially_confirms")],
        ],
        [
            [],
            [says("witness"), says("neighbour")],
            [says("witness"), shows(authentic=True)],
            [says("witness", "partially_confirms")],
            [says("witness", "denies")],
            [says("witness", **on_24), says("witness", "denies", **on_25)],
            [shows()],
            [shows("refutes", authentic=True)],
        ],
    ),
    Flag.INTERESTED_PARTIES_ONLY: (
        [
            [says("red-gov")],
            [says("red-leak")],
            [says("red-gov"), shows(by="red-mod", authentic=True)],
            [says("red-gov"), shows()],
            [says("red-gov"), says("witness", "partially_confirms")],
            [says("red-gov"), says("witness", "denies")],
            [says("red-gov"), says("agency")],
            [says("witness", rests_on=["source:red-gov"])],
        ],
        [
            [],
            [says("red-gov"), says("witness")],
            [says("red-gov"), shows(authentic=True)],
            [says("red-gov"), says("blue-gov")],
            [says("red-gov"), says("blue-leak")],
            [says("red-gov", "partially_confirms")],
            [shows(by="red-mod", authentic=True)],
            [says("somebody")],
            [{"serves": [], "harms": []}, says("red-gov")],
        ],
    ),
    Flag.UNNAMED_SOURCE: (
        [
            [says("red-leak")],
            [says("somebody", "partially_denies")],
            [says("witness"), says("channel", "denies")],
        ],
        [
            [says("witness", publisher="channel")],
            [says("witness", rests_on=["source:somebody"])],
            [says("red-leak", "investigating")],
            [says("red-gov", name="said"), says("red-leak", repeats="said")],
        ],
    ),
    Flag.ORIGIN_UNKNOWN: (
        [[says("agency")], [says("somebody")], [says("witness"), says("outlet", "denies")]],
        [
            [says("agency", basis="reporting")],
            [says("agency", rests_on=["source:witness"])],
            [says("agency", "unable_to_verify")],
            [says("agency", **on_24), says("agency", basis="reporting", **on_25)],
            [says("red-leak")],
        ],
    ),
    Flag.NO_EVIDENCE_SUPPLIED: (
        [
            [says("witness", evidence_offered="described")],
            [says("witness"), absence],
            [says("witness"), absence, shows("refutes", authentic=True), shows("context")],
            [says("witness"), absence, says("neighbour", "partially_confirms", evidence_offered="supplied")],
            [says("somebody", evidence_offered="described")],
            [says("witness"), absence, shows(name="film"), challenge("film")],
            [says("witness"), absence, shows(name="film", authentic=True), challenge("film")],
            [says("witness", evidence_offered="supplied", **on_24), says("witness", **on_25), absence],
        ],
        [
            [says("witness")],
            [says("witness", evidence_offered="supplied"), absence],
            [says("witness", evidence_offered="described"), says("neighbour", evidence_offered="supplied")],
            [says("witness", evidence_offered="described"), shows()],
            [absence],
            [says("witness", "partially_confirms", evidence_offered="described")],
            [says("witness", "denies", evidence_offered="described"), absence],
            [says("witness"), absence, shows(name="film"), challenge("film", "red-gov")],
            [says("witness"), absence, shows(name="film"), challenge("film"), authenticate("film")],
            [says("witness", evidence_offered="described", name="said"), withdraw("said")],
        ],
    ),
    Flag.UNDER_INVESTIGATION: (
        [
            [says("blue-gov", "investigating")],
            [says("blue-gov", "investigating", **on_24), says("red-gov", **on_25)],
            [says("blue-gov", "investigating", **on_24), says("blue-gov", "denies", **on_24)],
            [says("blue-gov", "denies", **on_24), says("blue-gov", "investigating", **on_25)],
            [says("blue-gov", "investigating", **on_24), says("blue-gov", "declines_comment", **on_25)],
            [says("blue-gov", "investigating", **on_24), says("outlet", "denies", **on_25)],
            [
                says("blue-gov", "investigating", **on_24),
                says("blue-gov", "denies", name="said", **on_25),
                withdraw("said", at="2024-01-26"),
            ],
            [
                says("blue-gov", "investigating", name="said", **on_24),
                says("blue-gov", "denies", repeats="said", **on_25),
            ],
            [says("blue-gov", "investigating", said_at="2024-01"), says("blue-gov", "denies", **on_25)],
        ],
        [
            [says("blue-gov", "questions")],
            [says("blue-gov", "investigating", **on_24), says("blue-gov", "denies", **on_25)],
            [says("blue-gov", "investigating", **on_24), says("blue-gov", "partially_confirms", **on_25)],
            [says("blue-gov", "investigating", **on_24), says("blue-gov", "unable_to_verify", **on_25)],
            [says("blue-gov", "investigating", name="said"), withdraw("said")],
            [says("blue-gov", "investigating", name="said"), withdraw("said", by="silent")],
            [says("blue-gov", "investigating", name="said"), correct("said", stance="comments")],
            [
                says("red-leak", "investigating", publisher="agency", **on_24),
                says("red-leak", publisher="outlet", **on_25),
            ],
        ],
    ),
    Flag.COULD_NOT_BE_VERIFIED: (
        [
            [says("agency", "unable_to_verify")],
            [says("agency", "unable_to_verify", **on_24), says("outlet", **on_25)],
            [says("agency", "unable_to_verify", **on_24), says("agency", **on_24)],
            [says("agency", "unable_to_verify", **on_24), says("agency", "investigating", **on_25)],
            [assess(), says("agency", "unable_to_verify")],
            [says("agency", "unable_to_verify"), assess("unverifiable")],
            [says("agency", "unable_to_verify"), assess(), assess("unverifiable")],
            [says("agency", "unable_to_verify"), assess(name="judged"), revoke("judged")],
            [says("agency", "unable_to_verify"), assess(name="judged"), void("assessment:judged")],
            [says("agency", "unable_to_verify", **on_24), assess(), says("outlet", "unable_to_verify", **on_24)],
        ],
        [
            [says("agency", "declines_comment")],
            [says("agency", "unable_to_verify", **on_24), says("agency", **on_25)],
            [says("agency", "unable_to_verify"), assess()],
            [says("agency", "unable_to_verify"), assess("unverifiable"), assess("misleading")],
            *(
                [says("agency", "unable_to_verify"), assess(verdict)]
                for verdict in ("verified", "refuted", "misleading")
            ),
            [says("agency", "unable_to_verify"), assess(), assess("unverifiable", name="x"), void("assessment:x")],
            [says("agency", "unable_to_verify", name="said"), withdraw("said")],
        ],
    ),
    Flag.SELF_CONTRADICTED: (
        [
            [says("witness", **on_24), says("witness", "denies", **on_25)],
            [says("witness", "confirms", hedge="likely", **on_24), says("witness", "denies", **on_25)],
            [says("red-gov"), says("red-mod", "denies")],
            [says("agency", rests_on=["source:red-mod"]), says("red-gov", "denies")],
            [says("somebody"), says("somebody", "denies")],
            [says("red-leak", publisher="agency", **on_24), says("red-leak", "denies", publisher="outlet", **on_24)],
            [shows(name="film", by="red-mod"), says("witness", rests_on=["evidence:film"]), says("red-gov", "denies")],
        ],
        [
            [says("witness"), says("neighbour", "denies")],
            [says("red-gov"), says("blue-gov", "denies")],
            [says("witness", "partially_confirms", **on_24), says("witness", "denies", **on_25)],
            [says("witness", **on_24), says("witness", "partially_denies", **on_25)],
            [says("red-gov"), says("red-mod", "partially_denies")],
            [says("red-gov", hedge="likely"), says("red-mod", "denies")],
            [says("witness", **on_24, name="said"), says("witness", "denies", **on_25), withdraw("said", by="silent")],
            [says("witness", **on_24), says("witness", "denies", **on_25, name="said"), withdraw("said")],
            [says("witness", name="said"), correct("said", stance="denies")],
            [
                shows(name="film"),
                says("agency", rests_on=["evidence:film"]),
                says("outlet", "denies", rests_on=["evidence:film"]),
            ],
        ],
    ),
    Flag.PARTIALLY_CONFIRMED: (
        [
            [says("witness", "partially_confirms")],
            [says("witness", hedge="possible")],
            [killed(74), says("witness", **killed(73))],
        ],
        [
            [says("witness", "partially_denies")],
            [says("witness", "partially_confirms", **on_24), says("witness", **on_25)],
        ],
    ),
    Flag.PARTIALLY_DENIED: (
        [[says("witness", "partially_denies")]],
        [[says("witness", "denies")], [says("witness", "partially_confirms")]],
    ),
    Flag.FIGURES_DISAGREE: (
        [
            [killed(74), says("witness", **killed(73))],
            [killed(74), says("witness", "denies", **killed(73))],
            [says("witness", **killed(65)), says("neighbour", **killed(63))],
            [killed(74), sums(65, 6, 4)],
        ],
        [
            [killed(74), says("witness", **killed(70, qualifier="at_least"))],
            [killed(74), says("witness", "comments", **killed(73))],
            [killed(74, as_at="2024"), says("witness", **killed(73, as_at="2023"))],
            [killed(74), says("witness", **killed(73), **on_24), says("witness", **killed(74), **on_25)],
            [killed(74), says("red-gov", **killed(74), name="said"), says("outlet", **killed(73), repeats="said")],
            [killed(74), sums(65, 6, 3)],
            [killed(74), says("witness", "denies", name="said", **killed(73)), withdraw("said")],
            [killed(74), says("witness", name="said", **killed(73)), correct("said", **killed(74))],
            [killed(74), says("witness", "unable_to_verify", **killed(73))],
            [sums_of_none],
        ],
    ),
    Flag.DENIED_BY_INTERESTED_PARTY: (
        [
            [says("blue-gov", "denies")],
            [says("blue-leak", "partially_denies")],
            [says("blue-gov", "denies"), says("blue-mod", "partially_denies")],
            [says("agency", "denies", rests_on=["source:blue-gov"])],
        ],
        [
            [says("blue-gov")],
            [says("blue-gov", "denies"), says("witness", "denies")],
            [says("blue-gov", "denies"), says("witness", "partially_denies")],
            [says("red-gov", "denies")],
            [says("red-leak", "denies")],
        ],
    ),
    Flag.EVIDENCE_CHALLENGED: (
        [
            [shows(name="film"), challenge("film")],
            [shows("refutes", name="film"), challenge("film", "red-gov")],
            [shows(name="film", authentic=True), challenge("film", "red-gov")],
            [shows(name="film", authentic=True), challenge("film"), challenge("film", "red-gov")],
        ],
        [
            [shows(name="film")],
            [shows("context", name="film"), challenge("film")],
            [shows(name="film"), challenge("film"), authenticate("film")],
            [shows(name="film"), challenge("film", "red-gov"), authenticate("film")],
        ],
    ),
    Flag.CORRECTED: (
        [
            *([says("witness", name="said"), correct("said", **after)] for after in SUBSTANTIAL),
            [says("witness", name="said"), withdraw("said", by="publisher")],
            [says("witness", name="said"), withdraw("said", by="silent")],
        ],
        [
            [says("witness")],
            *([says("witness", name="said"), correct("said", **after)] for after in INCIDENTAL),
            [says("witness", name="said"), withdraw("said", by="speaker")],
            [says("witness", name="said"), correct("said", stance="denies"), withdraw("said", by="speaker")],
        ],
    ),
    Flag.DECLARED: (
        [
            [DECLARED, says("red-mod")],
            [DECLARED, says("red-gov")],
            [DECLARED, says("red-mod"), says("red-leak", "denies")],
            [DECLARED, says("red-mod"), says("witness", "denies")],
            [DECLARED, says("red-mod"), says("red-gov", "denies", name="said"), withdraw("said", by="publisher")],
            [declare("red-mod"), says("red-gov")],
            [declare("red-leak"), says("red-gov")],
        ],
        [
            [says("red-mod")],
            [DECLARED, says("witness")],
            [DECLARED, says("red-leak")],
            [DECLARED, says("red-mod", "partially_confirms")],
            [DECLARED, says("red-mod"), says("red-gov", "denies")],
            [DECLARED, says("red-mod"), says("red-gov", "partially_denies")],
            [DECLARED, says("red-mod"), declare(None)],
            [DECLARED, says("red-mod", name="said"), withdraw("said")],
        ],
    ),
    Flag.NEEDS_REVIEW: (
        [
            [assess(), says("witness")],
            [says("witness", **on_24), assess(), says("witness", "denies", **on_25)],
            [says("witness"), assess(), says("neighbour")],
            [says("witness"), assess(), says("somebody", "partially_denies")],
            [says("witness", **on_24), assess(), says("witness", **killed(1), **on_25)],
            [assess(), shows()],
            [assess(), shows("context")],
            [shows(name="film"), assess(), lambda case: case.authenticate(case.id_of("evidence", "film"))],
            [says("witness"), assess(), says("neighbour"), assess(), says("institute")],
            # each part of the substance: the state without assessments
            [says("red-gov"), says("witness"), assess(), grade("witness", "E")],
            [says("red-gov"), says("witness"), assess(), methodcaller("update_source", "witness", parties=["red"])],
            [says("red-gov"), says("green-gov"), assess(), methodcaller("update_story", allies={"green": ["red"]})],
            # (speaker, weight, figures) of effective statements
            [says("witness", name="said"), assess(), correct("said", speaker="neighbour")],
            [says("witness", name="said"), assess(), correct("said", hedge="likely")],
            [says("witness", name="said"), assess(), correct("said", **killed(1))],
            [says("witness", "partially_denies"), assess(), says("neighbour", "partially_denies")],
            [says("witness", name="said"), says("neighbour"), says("institute"), assess(), withdraw("said")],
            # (id, bearing, status, open challenge) of evidence
            [shows(name="film", authentic=True), shows(authentic=True), assess(), challenge("film")],
            [shows("context", name="film"), assess(), challenge("film", "red-gov")],
            [shows("context", name="film"), challenge("film", "red-gov"), assess(), authenticate("film")],
            # claim text, quantities, serves, harms
            *([assess(), methodcaller("update", **change)] for change in MATERIAL),
            # of members too
            [assess(), methodcaller("claim", "other"), says("witness", on="other"), methodcaller("merge", "other")],
        ],
        [
            [assess()],
            [says("witness"), assess()],
            [says("witness"), says("neighbour")],
            *[[says("witness"), assess(), says("blue-gov", stance)] for stance in ("comments", "investigating")],
            [says("witness", name="said"), assess(), says("outlet", repeats="said")],
            [says("witness", **on_24), assess(), says("witness", "confirms", **on_25)],
            [says("witness", **on_25), assess(), says("witness", "denies", **on_24)],
            [assess(), absence],
            [assess(), says("witness"), shows(authentic=True), assess("refuted")],
            [says("witness"), assess(name="judged"), says("neighbour"), revoke("judged")],
            [says("witness", name="said"), assess(), correct("said", basis="first_hand", said_at="2024")],
            [says("witness"), says("witness", name="said"), assess(), withdraw("said", by="publisher")],
            [shows(name="film", authentic=True), challenge("film"), assess(), challenge("film", "red-gov")],
            [says("witness"), assess(), grade("witness", "A")],
            [assess(), ask("red-gov")],
            [assess(), methodcaller("publish", "c")],
            *([assess(), methodcaller("update", **change)] for change in IMMATERIAL),
            [assess(), says("witness", name="said"), void("statement:said")],
        ],
    ),
}
ROWS = [
    pytest.param(flag, steps, expected, id=f"{flag}-{'raised' if expected else 'not'}-{n}")
    for flag, (raising, others) in CASES.items()
    for expected, rows in ((True, raising), (False, others))
    for n, steps in enumerate(rows)
]


@pytest.mark.parametrize(("flag", "steps", "expected"), ROWS)
def test_a_flag_is_raised_when_its_condition_holds_and_only_then(
    new_case: type[Case],
    flag: Flag,
    steps: Sequence[Any],
    expected: bool,  # noqa: FBT001 - a column of the table
) -> None:
    """Each flag says one thing, exactly."""
    claim = steps[0] if steps and isinstance(steps[0], dict) else {}
    case = new_case(**claim)
    for step in steps[bool(claim) :]:
        step(case)
    assert expected == (flag.value in case.flags())


def test_every_flag_is_tried_both_ways() -> None:
    """No flag is without a case in which it is raised, and one in which it is not."""
    assert set(Flag) == {flag for flag, (raising, others) in CASES.items() if raising and others}


def test_flags_stand_beside_any_state_in_order_of_their_names(case: Case) -> None:
    """An assessed claim keeps the flags of what was said on it."""
    case.says("red-leak", evidence_offered="described")
    case.says("blue-gov", "denies")
    before = [flag.value for flag in case.verdict().flags]
    expected = "denied_by_interested_party interested_parties_only no_evidence_supplied single_origin unnamed_source"
    assert expected.split() == before
    case.assess("verified")
    assert before == [flag.value for flag in case.verdict().flags]
