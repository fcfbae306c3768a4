"""Problem details (RFC 9457): the one table of what can go wrong, and how every error becomes one."""

from http import HTTPStatus

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from msgspec import Struct

from events import errors
from service.api.http import access
from service.api.http.caching import NEVER
from service.api.http.kinds import KINDS, Kind
from service.auth.jwks import ProviderAway
from service.projections.queries import NotThereYet
from service.verification import refusals

_LOG = structlog.get_logger("onrecord.api")
MEDIA_TYPE = "application/problem+json"


class ErrorDetail(Struct, frozen=True):
    """One thing wrong with a request; ``pointer`` (RFC 6901) is where in its body."""

    detail: str
    pointer: str = ""


class Problem(Struct, frozen=True, omit_defaults=True):
    """What an error answer says."""

    type: str
    title: str
    status: int
    detail: str
    instance: str = ""
    request_id: str = ""
    errors: tuple[ErrorDetail, ...] = ()
    resume_after: str = ""
    """The cursor to go on from instead of the one that was given."""


class ApiError(Exception):
    """An error that the API itself finds. ``slug`` names its kind."""

    def __init__(
        self, slug: str, detail: str, pointer: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.pointer, self.headers = slug, detail, pointer, headers or {}


_KIND_OF: dict[type[Exception], str] = {
    refusals.NotOnRecord: "not-found",
    refusals.UnknownReference: "unknown-reference",
    refusals.AlreadyRecorded: "already-recorded",
    refusals.RuleBroken: "rule-broken",
    refusals.VersionMismatch: "version-mismatch",
    errors.VersionConflict: "too-much-contention",
    errors.CommandConflict: "idempotency-conflict",
    errors.EventTooLarge: "too-large",
    errors.ClockSkew: "clock-skew",
    errors.StoreFull: "store-full",
    errors.FollowerTooSlow: "too-slow",
    errors.StoreUnavailable: "store-unavailable",
    errors.LedgerDiverged: "ledger-diverged",
    errors.ArchiveUnavailable: "archive-unavailable",
    errors.ArchiveDamaged: "archive-damaged",
    errors.OutcomeUnknown: "outcome-unknown",
    errors.CursorPassed: "cursor-passed",
    errors.BadCursor: "bad-cursor",
    NotThereYet: "not-there-yet",
    ProviderAway: "provider-away",
    NotFoundException: "not-found",
    MethodNotAllowedException: "method-not-allowed",
}
_BY_STATUS = {413: "too-large", 400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found"}
_PARAMETERS = {"stands": "state", "since": "from", "until": "to"}
"""Parameters whose Python name is another, because Litestar keeps theirs for itself."""
_RETRY_AFTER = {"Retry-After": "1"}


def answer(request: Request, error: Exception) -> Response[bytes]:  # type: ignore[type-arg]  # Litestar's three variables
    """Return the problem that an error is. What is not foreseen is logged, and tells a client nothing of our inside."""
    slug, detail, found, headers = _read(error)
    kind = KINDS[slug]
    if slug == "internal-error":
        _LOG.error("request failed", exc_info=error)
    elif kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.warning("request failed", problem=slug, why=str(error))
    if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = _RETRY_AFTER | headers
    if kind.status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer"} | headers
    return Response(
        msgspec.json.encode(_problem(kind, detail, request.url.path, found, error)),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers=headers | {"Cache-Control": NEVER},
    )


def problem(error: Exception, path: str) -> Problem:
    """Return the problem that an error is, where no answer can be made of it any more."""
    slug, detail, found, _ = _read(error)
    return _problem(KINDS[slug], detail, path, found, error)


def _problem(kind: Kind, detail: str, path: str, found: tuple[ErrorDetail, ...], error: Exception) -> Problem:
    """Return a problem with the request that it is about, whose line in the log has its kind."""
    request_id = ""
    if asked := access.present():
        asked.problem, request_id = kind.slug, asked.id
    resume_after = error.resume_after if isinstance(error, errors.CursorPassed) else ""
    return Problem(f"/problems/{kind.slug}", kind.title, kind.status, detail, path, request_id, found, resume_after)


def _read(error: Exception) -> tuple[str, str, tuple[ErrorDetail, ...], dict[str, str]]:
    if isinstance(error, ApiError):
        found = () if error.pointer is None else (ErrorDetail(error.detail, error.pointer),)
        return error.slug, error.detail, found, error.headers
    slug = next((_KIND_OF[type_] for type_ in type(error).__mro__ if type_ in _KIND_OF), None)
    if isinstance(error, HTTPException):
        allow = _allow(error)
        headers = {"Allow": allow} if allow else {}
        slug = slug or _BY_STATUS.get(error.status_code, "internal-error")
        return slug, _detail(slug, error), (), headers
    if isinstance(error, refusals.Refusal) and slug:
        found = (ErrorDetail(error.detail, error.pointer),) if error.pointer else ()
        return slug, error.detail, found, {}
    if slug:
        return slug, _said(slug, error), (), {}
    return "internal-error", "the request could not be carried out; the log says why", (), {}


def _said(slug: str, error: Exception) -> str:
    """Return what an error of ours says to a client; what one of the store says may tell where that is."""
    if KINDS[slug].status >= HTTPStatus.INTERNAL_SERVER_ERROR and not isinstance(error, NotThereYet):
        return KINDS[slug].means
    return str(error)


def _allow(error: HTTPException) -> str:
    """Return the methods of a resource as the ``Allow`` header names them: whatever can be read has HEAD, too."""
    methods = next((value for name, value in (error.headers or {}).items() if name.lower() == "allow"), "")
    named = {each.strip() for each in methods.split(",") if each}
    return ", ".join(sorted(named | {"HEAD"} if "GET" in named else named))


def _detail(slug: str, error: HTTPException) -> str:
    """Return what an error of Litestar's says to a client: of parameters, which one and why."""
    if slug in {"internal-error", "not-found"}:
        return KINDS[slug].title
    if slug == "method-not-allowed":
        return f"it has {_allow(error)}"
    if isinstance(error.extra, list) and error.extra:
        named = [(_PARAMETERS.get(wrong.get("key"), wrong.get("key")), wrong.get("message")) for wrong in error.extra]
        return "; ".join(f"{name}: {message}" for name, message in named)
    return error.detail
