"""A check of ours for schemathesis: what keeps the contract is never called invalid."""

import re
from typing import Any

import schemathesis

_ABOUT_THE_FORM = {
    "/problems/invalid",
    "/problems/bad-request",
    "/problems/not-json",
    "/problems/unsupported-media-type",
}
_NOT_IN_JSON_SCHEMA = (
    "a range's low is at most its high",
    "such figures begin at 0",
    "nobody reviews an assessment of their own",
    "list the claims of now",
    "list the claims of one story",
    "a page is after a cursor or before one",
    "it is no moment",
    "expires is in the past",
    "the moment `to` is before `from`",
    "nothing proves that a tree of",
    "is no type of event",
    "policy: there is no",
    "Expected `int`, got `float`",
    "Expected `int | str`, got `float`",  # JSON Schema takes 1.0 for an integer
    "Expected `int | str | null`, got `float`",
    "a live stream has no limit",
    "is beyond the end",
    "give the statement or the identifier of one",
)
"""Rules that a JSON Schema cannot say: of two members of a request together, of the clock, of what is on record."""


def _keeps_the_patterns(case: Any) -> bool:
    """Whether the parameters are as described: some that schemathesis makes up for a header are not."""
    for parameter in case.operation.iter_parameters():
        where = {"path": case.path_parameters, "query": case.query, "header": case.headers}.get(
            parameter.location
        ) or {}
        pattern = parameter.definition.get("schema", {}).get("pattern")
        value = where.get(parameter.name)
        if pattern and isinstance(value, str) and not re.search(pattern, value):
            return False
    return True


@schemathesis.check
def valid_is_not_called_invalid(ctx: Any, response: Any, case: Any) -> None:
    """What the contract allows may be refused by a rule of the record, but not as malformed."""
    if case.meta is None or not case.meta.generation.mode.is_positive or not _keeps_the_patterns(case):
        return
    if response.status_code in {400, 415, 422}:
        problem = response.json()
        if problem["type"] in _ABOUT_THE_FORM and not any(each in problem["detail"] for each in _NOT_IN_JSON_SCHEMA):
            raise AssertionError(f"{problem['type']}: {problem['detail'][:300]}")
