"""Explanations: why a claim stands where it does, what another policy would say, and what would change it."""

import asyncio
import time
from typing import Any

import msgspec
from litestar import get
from litestar.params import FromPath, FromQuery
from msgspec import Struct

from events.words import Because, Flag, Policy, PolicyName, State
from service.api.http.answer import Answer
from service.api.http.documents import unversioned, wait_for_writes
from service.api.http.moments import horizon
from service.api.http.problems import ApiError
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import CLAIMS
from service.projections.documents import Membership, Standing
from service.projections.past import claim_at
from service.verification.decide import World
from service.verification.explain import Reason, arithmetic, exclusions, sentences, tried
from service.verification.facts import NOW, Horizon
from service.verification.in_force import Dossier
from service.verification.policy import BUILT_IN, ENGINE, evaluate, name_of
from service.verification.reference import Edition


class SuggestedEvent(Struct, frozen=True):
    """An event as it would be recorded."""

    type: str
    data: Any


class Change(Struct, frozen=True):
    """If these events were recorded now, the claim's state would be ``to``."""

    sentence: str
    to: State
    events: tuple[SuggestedEvent, ...]


class Explanation(Struct, frozen=True):
    """A verdict in sentences.

    ``recorded`` is the last verdict on record at that moment; the rest is what ``policy`` makes of what is on record.
    ``would_change_if`` is there for the present moment only.
    """

    claim_id: str
    policy: PolicyName
    engine: int
    state: State | None
    flags: tuple[Flag, ...]
    credibility: int | None
    because: Because | None
    reasons: tuple[Reason, ...]
    excluded: tuple[Reason, ...]
    would_change_if: tuple[Change, ...]
    merged_into: Membership | None = None
    recorded: Standing | None = None


@get(
    "/v1/claims/{claim_id:str}/explanation",
    operation_id="explainClaim",
    summary="Explain where a claim stands",
    opt={"answer": Explanation, "whole": True, "waits": True, "scope": Scope.READ},
)
async def explain_claim(
    request: ApiRequest,
    claim_id: FromPath[str],
    policy: FromQuery[str | None] = None,
    as_of: FromQuery[str | None] = None,
    said_by: FromQuery[str | None] = None,
) -> Answer:
    """Say in sentences why a claim stands where it does, and what would change that.

    `policy` names another one (as in `admiralty`, or `name:version` of one that was in force): the answer is what that
    one would say; nothing is recorded. `as_of` and `said_by` ask of another moment.
    """
    here = served(request)
    await wait_for_writes(request, CLAIMS)
    moment = await horizon(here.ledger, as_of, said_by)
    world, edition = await here.recorder.reader.world(claim_id, moment.position if moment else None)
    chosen = edition.policy_at(moment or NOW) if policy is None else named_policy(policy, edition)
    world = msgspec.structs.replace(world, policy=chosen)
    facts = world.facts[claim_id]
    document = await claim_at(here.ledger, claim_id, moment or NOW)
    if document and document.merged_into:
        merged = document.merged_into
        content = Explanation(claim_id, name_of(chosen), ENGINE, None, (), None, None, (), (), (), merged)
        return await unversioned(request, msgspec.json.encode(content))
    if moment and moment.said_by is not None:
        document = await claim_at(here.ledger, claim_id, Horizon(moment.position))
    dossier = Dossier(facts, world.facts)
    verdict = evaluate(dossier, world.context(facts.claim), chosen, moment or NOW)
    reasons = sentences(verdict)
    if sum_ := arithmetic(dossier.in_force(moment or NOW), world, moment or NOW):
        reasons = (*reasons, sum_)
    content = Explanation(
        claim_id=claim_id,
        policy=name_of(chosen),
        engine=ENGINE,
        state=verdict.state,
        flags=verdict.flags,
        credibility=verdict.credibility,
        because=verdict.because,
        reasons=reasons,
        excluded=exclusions(verdict),
        would_change_if=await _changes(claim_id, world) if moment is None else (),
        recorded=document.standing if document else None,
    )
    return await unversioned(request, msgspec.json.encode(content))


async def _changes(claim_id: str, world: World) -> tuple[Change, ...]:
    changes = []
    for found in tried(claim_id, world, time.time_ns() // 1000):
        if found:
            events = tuple(SuggestedEvent(event.TYPE, event) for event in found.events)
            changes.append(Change(found.sentence, found.to, events))
        await asyncio.sleep(0)  # on a large claim all of them take seconds
    return tuple(changes)


def named_policy(named: str, edition: Edition) -> Policy:
    """Return the policy of a name, or ``name:version``: one that is built in, or was ever in force.

    Raises ``bad-request`` if there is none.
    """
    name, _, version = named.partition(":")
    known = [*BUILT_IN.values(), *(each.policy for each in edition.policies)]
    found = [each for each in known if each.name == name and version in ("", str(each.version))]
    if not found:
        names = ", ".join(dict.fromkeys(f"{each.name}:{each.version}" for each in known))
        raise ApiError("bad-request", f"policy: there is no {named[:80]!r}; there are {names}")
    return found[-1]


ROUTES = (explain_claim,)
