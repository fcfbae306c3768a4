"""The door: no route is served before somebody said who may use it."""

from pathlib import Path
from typing import Any

import msgspec
import pytest
from litestar import Litestar, get

from service.api.http.door import Undeclared, check_declared, handlers
from service.app import create_app
from service.auth.scopes import Scope
from service.settings import Settings

TABLE = Path(__file__).parent.parent / "e2e" / "scopes.json"


@pytest.mark.parametrize("opt", [{}, {"public": True, "scope": Scope.READ}])
def test_a_route_says_which_scope_it_wants_or_that_it_is_public(opt: dict[str, Any]) -> None:
    """An application with a route that says neither, or both, does not start; it is told by method and path."""

    @get("/v1/new", opt=opt, sync_to_thread=False)
    def handler() -> None:
        pass

    with pytest.raises(Undeclared, match=r"^GET /v1/new: say in `opt`"):
        check_declared(Litestar([handler], openapi_config=None))


def test_every_route_has_a_row_in_the_table() -> None:
    """Which scope a route wants is said twice, in the route and in ``scopes.json``: a slip in one is seen."""
    declared = {handler.operation_id: handler.opt.get("scope") for _, handler in handlers(create_app(Settings()))}
    assert declared == msgspec.json.decode(TABLE.read_bytes(), type=dict[str, Scope | None])
