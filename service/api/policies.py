"""Policies: which one is in force, which there were, and putting another in force."""

import msgspec
from litestar import get, post

from events.catalog import PolicyActivated
from events.words import LongText, Part, Policy, PolicyName
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.documents import unversioned
from service.api.http.receipts import Receipt, caller, recorded
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import CLAIMS
from service.reassessor import Progress, progress
from service.verification.policy import BUILT_IN, name_of
from service.verification.refusals import Refusal

_WHERE = "/v1/policies"


class Activation(Part, frozen=True):
    """A policy to put in force: one of On Record's own by its name, or a whole one of yours."""

    name: str | None = None
    policy: Policy | None = None
    reason: LongText | None = None

    def __post_init__(self) -> None:
        if (self.name is None) == (self.policy is None):
            raise ValueError("give the name of a policy of On Record's own, or a policy, one of them")
        if self.name is not None and self.name not in BUILT_IN:
            raise ValueError(f"`name`: On Record's own policies are {', '.join(BUILT_IN)}")


class InForce(msgspec.Struct, frozen=True):
    """A policy that is or was in force, from a position on."""

    position: int
    name: PolicyName
    policy: Policy


class Policies(msgspec.Struct, frozen=True):
    """The policy in force (the last of ``history``), and those that can be put in force by name.

    ``reassessment`` says how far the worker is that follows up policies and whatever else touches many claims.
    """

    history: tuple[InForce, ...]
    built_in: tuple[Policy, ...]
    reassessment: Progress


@get(
    _WHERE,
    operation_id="listPolicies",
    summary="List policies",
    opt={"answer": Policies, "whole": True, "scope": Scope.READ},
)
async def list_policies(request: ApiRequest) -> Answer:
    """Read the policies that were in force, the last of them being so now, and On Record's own."""
    edition = await served(request).recorder.reader.reference.renew()
    history = tuple(InForce(each.position, name_of(each.policy), each.policy) for each in edition.policies)
    here = served(request)
    content = msgspec.json.encode(
        Policies(history, tuple(BUILT_IN.values()), await progress(here.queries.store, here.ledger))
    )
    return await unversioned(request, content)


@post(
    _WHERE,
    operation_id="activatePolicy",
    summary="Put a policy in force",
    opt={"body": Activation, "answer": Receipt, "scope": Scope.ADMIN},
)
async def activate_policy(request: ApiRequest) -> Answer:
    """Judge claims by another policy from now on. A worker reassesses every claim by it; `GET` says how far it is.

    To see first what it would say of a claim, ask for its explanation by that policy.
    """
    given = await body(request, Activation)
    policy = given.policy or BUILT_IN[str(given.name)]
    proposed = PolicyActivated(policy=policy, reason=given.reason)
    try:
        outcome = await served(request).recorder.activate(proposed, caller(request, "activatePolicy", given))
    except Refusal as refusal:
        if refusal.pointer:
            refusal.pointer = f"/policy{refusal.pointer}"
        raise
    return recorded(request, outcome, "", CLAIMS, _WHERE)


ROUTES = (list_policies, activate_policy)
