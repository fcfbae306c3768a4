"""Header fields of a request, looked up as they came: Litestar makes a mapping of all of them to look one up."""

from typing import Any

from litestar import Request


def values(request: Request[Any, Any, Any], name: bytes) -> list[str]:
    """Return the values of a field, each as it was sent. ``name`` is in lower case."""
    return [value.decode("latin-1") for each, value in request.scope["headers"] if each == name]


def value(request: Request[Any, Any, Any], name: bytes) -> str | None:
    """Return the value of a field, None if it is not there; several are one list (RFC 9110, section 5.3)."""
    found = values(request, name)
    return ", ".join(found) if found else None
