"""Problem details (RFC 9457): the one table of what can go wrong, and how every error becomes one."""

from http import HTTPStatus

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, MethodNotAllowedException, NotFoundException
from msgspec import Struct

from events import errors
from service.api.http import access
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


class Kind(Struct, frozen=True):
    """A kind of problem: its ``type`` is ``/problems/<slug>``, and ``advice`` is what that page says to do."""

    slug: str
    status: int
    title: str
    advice: str


class ApiError(Exception):
    """An error that the API itself finds. ``slug`` names its kind."""

    def __init__(
        self, slug: str, detail: str, pointer: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(detail)
        self.slug, self.detail, self.pointer, self.headers = slug, detail, pointer, headers or {}


KINDS = {
    kind.slug: kind
    for kind in (
        Kind("bad-request", 400, "The request is malformed", "Mend what the detail names, and send it again."),
        Kind("not-json", 400, "The body is not JSON", "Send one JSON object (RFC 8259) in UTF-8."),
        Kind("bad-cursor", 400, "The cursor is malformed or of another epoch", "Use a cursor as an answer gave it."),
        Kind("unauthorized", 401, "A valid API key is needed", "Send `Authorization: Bearer onrecord_…`."),
        Kind("forbidden", 403, "The key does not open this", "Use a key of this ledger with the scope for it."),
        Kind("not-found", 404, "There is no such thing", "Check the identifier; nothing is ever deleted."),
        Kind("method-not-allowed", 405, "The resource has no such method", "See the Allow header."),
        Kind("already-recorded", 409, "It is on record already", "Nothing to do: it was not recorded again."),
        Kind("too-much-contention", 409, "Others were quicker each time", "Try again; nothing was recorded."),
        Kind("version-mismatch", 412, "It has moved on", "Read it again, decide again, send the new ETag."),
        Kind("too-large", 413, "The body or the event is too large", "Keep a request under 60 KiB; link to documents."),
        Kind("unsupported-media-type", 415, "The body is of another type", "Send `Content-Type: application/json`."),
        Kind("invalid", 422, "The body is not valid", "Mend each place that errors[] points to."),
        Kind(
            "unknown-reference", 422, "The body names something unknown", "Register it first, or mend the identifier."
        ),
        Kind("rule-broken", 422, "A rule of the record forbids it", "The detail names the rule."),
        Kind("idempotency-conflict", 422, "The Idempotency-Key was used for another request", "Use a new key."),
        Kind(
            "too-many-streams", 429, "The key has too many streams open", "Close one, or follow more with one of them."
        ),
        Kind("internal-error", 500, "Something broke on our side", "Try again; if it stays, report the time."),
        Kind("store-unavailable", 503, "The store is not available", "Try again; nothing was recorded."),
        Kind("outcome-unknown", 503, "The outcome is not known", "Send it again with the same Idempotency-Key."),
        Kind(
            "store-full",
            503,
            "The store takes no more writes",
            "Give the store more memory or disk; nothing was recorded.",
        ),
        Kind("clock-skew", 503, "The store's clock is wrong", "Mend the clock; nothing was recorded."),
        Kind("streams-full", 503, "Too many streams are open", "Try again in a moment; another process may have room."),
        Kind("too-slow", 503, "The stream was taken too slowly", "Resume from the last id, and read faster."),
        Kind("shutting-down", 503, "The service is about to stop", "Try again, or resume from the last id."),
        Kind("not-there-yet", 503, "The reading side has not caught up", "Try again in a moment."),
    )
}

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
    errors.OutcomeUnknown: "outcome-unknown",
    errors.BadCursor: "bad-cursor",
    NotThereYet: "not-there-yet",
    NotFoundException: "not-found",
    MethodNotAllowedException: "method-not-allowed",
}
_BY_STATUS = {413: "too-large", 400: "bad-request", 401: "unauthorized", 403: "forbidden", 404: "not-found"}
_PARAMETERS = {"stands": "state"}
"""Parameters whose Python name is another, because Litestar keeps theirs for itself."""
_RETRY_AFTER = {"Retry-After": "1"}


def answer(request: Request, error: Exception) -> Response[bytes]:  # type: ignore[type-arg]  # Litestar's three variables
    """Return the problem that an error is. What is not foreseen is logged, and tells a client nothing of our inside."""
    slug, detail, found, headers = _read(error)
    kind = KINDS[slug]
    if slug == "internal-error":
        _LOG.error("request failed", exc_info=error)
    elif kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _LOG.warning("request failed", problem=slug, why=detail)
    if kind.status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers = _RETRY_AFTER | headers
    if kind.status == HTTPStatus.UNAUTHORIZED:
        headers = {"WWW-Authenticate": "Bearer"} | headers
    return Response(
        msgspec.json.encode(_problem(kind, detail, request.url.path, found)),
        status_code=kind.status,
        media_type=MEDIA_TYPE,
        headers=headers | {"Cache-Control": "no-store"},
    )


def problem(error: Exception, path: str) -> Problem:
    """Return the problem that an error is, where no answer can be made of it any more."""
    slug, detail, found, _ = _read(error)
    return _problem(KINDS[slug], detail, path, found)


def _problem(kind: Kind, detail: str, path: str, found: tuple[ErrorDetail, ...]) -> Problem:
    """Return a problem with the request that it is about, whose line in the log has its kind."""
    request_id = ""
    if asked := access.present():
        asked.problem, request_id = kind.slug, asked.id
    return Problem(f"/problems/{kind.slug}", kind.title, kind.status, detail, path, request_id, found)


def _read(error: Exception) -> tuple[str, str, tuple[ErrorDetail, ...], dict[str, str]]:
    if isinstance(error, ApiError):
        found = () if error.pointer is None else (ErrorDetail(error.detail, error.pointer),)
        return error.slug, error.detail, found, error.headers
    slug = next((_KIND_OF[type_] for type_ in type(error).__mro__ if type_ in _KIND_OF), None)
    if isinstance(error, HTTPException):
        headers = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
        slug = slug or _BY_STATUS.get(error.status_code, "internal-error")
        return slug, _detail(slug, error), (), headers
    if isinstance(error, refusals.Refusal) and slug:
        found = (ErrorDetail(error.detail, error.pointer),) if error.pointer else ()
        return slug, error.detail, found, {}
    if slug:
        return slug, str(error), (), {}
    return "internal-error", "the request could not be carried out; the log says why", (), {}


def _detail(slug: str, error: HTTPException) -> str:
    """Return what an error of Litestar's says to a client: of parameters, which one and why."""
    if slug in {"internal-error", "not-found"}:
        return KINDS[slug].title
    if isinstance(error.extra, list) and error.extra:
        named = [(_PARAMETERS.get(wrong.get("key"), wrong.get("key")), wrong.get("message")) for wrong in error.extra]
        return "; ".join(f"{name}: {message}" for name, message in named)
    return error.detail
