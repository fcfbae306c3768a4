"""The door: an application with a route of which nobody said who may use it does not start."""

from typing import Any

import pytest
from litestar import Litestar, get

from service.api.http.door import Undeclared, check_declared
from service.auth.scopes import Scope


@pytest.mark.parametrize("opt", [{}, {"public": True, "scope": Scope.READ}])
def test_a_route_says_which_scope_it_wants_or_that_it_is_public(opt: dict[str, Any]) -> None:
    """Neither is refused and both are, by method and path."""

    @get("/v1/new", opt=opt, sync_to_thread=False)
    def handler() -> None:
        pass

    with pytest.raises(Undeclared, match=r"^GET /v1/new: say in `opt`"):
        check_declared(Litestar([handler], openapi_config=None))
