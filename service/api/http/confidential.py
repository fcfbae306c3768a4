"""What is confidential, in requests and in answers: ``confidential`` goes in and comes out, the ledger has ``sealed``.

A request says it in clear under ``confidential``; it is taken out of the body before that becomes a record, and sealed.
An answer has no ``sealed``: for a key with the scope for it there is ``confidential`` in its place, else nothing. Raw
events are the bytes of the ledger, and stay as they are.
"""

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, TypeVar

import msgspec
import structlog
from litestar import Request
from msgspec import Raw

from events.catalog import Event
from events.confidential import SHAPES, Confidential, can_hold, holding, subject_sealed
from events.records import Statement
from events.words import Sealed
from service.api.http.bodies import content_of, decoded
from service.api.http.problems import ApiError
from service.auth.vault import Erased, Unopened, Vault
from service.verification.commands import Caller, Outcome, Recorder
from service.verification.refusals import RuleBroken

_LOG = structlog.get_logger("onrecord.vault")
_T = TypeVar("_T")
_MENTIONED = re.compile(rb"sealed|confidential|\\u00")
"""What a body has to have in it if one of its members is called so; a name may be written with escapes."""
_SEALED = b'"sealed":{'
"""What a stored document has in it if anything in it is sealed: a text in it would have ``\\"``."""
_MEMBERS = set(Sealed.__struct_fields__)
_members_of = msgspec.json.Decoder(dict[str, Raw]).decode


async def confided(
    request: Request[Any, Any, Any], type_: type[_T], *, within: str = ""
) -> tuple[_T, Confidential | None]:
    """Return the request's body as ``type_``, and what it says in confidence, if anything.

    That is in the member ``confidential`` of the body or, with ``within``, of the statement in that member. Raises
    what ``body`` does; ``sealed`` is no member of a request.
    """
    raw = await content_of(request)
    if not _MENTIONED.search(raw):
        return decoded(raw, type_), None
    try:
        members = _members_of(raw)
        record = _members_of(members[within]) if within in members else {} if within else members
    except msgspec.ValidationError:  # it is no object, and will be refused as that
        return decoded(raw, type_), None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ApiError("not-json", str(error)) from error
    at = f"/{within}" if within else ""
    if "sealed" in record:
        raise ApiError("invalid", "Object contains unknown field `sealed`: say it in `confidential`", f"{at}/sealed")
    if "confidential" not in record:
        return decoded(raw, type_), None
    said = _said(bytes(record.pop("confidential")), SHAPES[Statement if within else type_], f"{at}/confidential")
    if said is None:
        record["sealed"] = Raw(b"null")  # which clears it, where a change can
    elif len(msgspec.json.encode(said)) > Confidential.LARGEST:
        raise ApiError("invalid", f"more than {Confidential.LARGEST} bytes in confidence", f"{at}/confidential")
    if within:
        members[within] = Raw(msgspec.json.encode(record))
    return decoded(msgspec.json.encode(members), type_), said


def _said(raw: bytes, shape: type[Confidential], at: str) -> Confidential | None:
    return None if raw == b"null" else decoded(raw, shape, at)


async def confidentially(  # noqa: PLR0913 - a command, and what it is carried out with
    vault: Vault,
    recorder: Recorder,
    caller: Caller,
    proposed: Sequence[Event],
    said: Confidential | None,
    record: Callable[[Sequence[Event]], Awaitable[Outcome]],
) -> Outcome:
    """Record events, the one among them that can with what is said in confidence.

    A command that was carried out before is answered without sealing anything again. Raises ``RuleBroken`` if the
    subject was erased.
    """
    if said is None:
        return await record(proposed)
    if earlier := await recorder.recall(caller):
        return earlier
    events = list(proposed)
    for n, event in enumerate(proposed):
        if can_hold(event):
            try:
                events[n] = holding(event, await vault.seal(subject_sealed(event), said))
            except Erased as erased:
                refusal = RuleBroken(str(erased), "/confidential")
                refusal.proposal = n
                raise refusal from erased
    return await record(events)


async def shown(vault: Vault | None, documents: Sequence[bytes]) -> list[bytes]:
    """Return documents as a caller may see them: with what is sealed opened by a vault or, without one, left out.

    What cannot be opened any more is ``null``, and ``erased`` says whether because its subject was erased.
    """
    if not any_sealed(documents):
        return list(documents)
    decoded_ = [msgspec.json.decode(raw) if has_sealed(raw) else None for raw in documents]
    holders = [(holder, _sealed_in(holder)) for each in decoded_ for holder in _holders(each)]
    opened = await vault.open([value for _, value in holders]) if vault else {}
    for holder, value in holders:
        del holder["sealed"]
        match opened.get(value):
            case bytes() as clear:
                holder["confidential"] = Raw(clear)
            case Erased():
                holder |= {"confidential": None, "erased": True}
            case Unopened() as why:
                _LOG.error("a sealed value cannot be opened", why=str(why))
                holder |= {"confidential": None, "erased": False}
    return [
        raw if content is None else msgspec.json.encode(content)
        for raw, content in zip(documents, decoded_, strict=True)
    ]


def has_sealed(document: bytes) -> bool:
    """Whether anything in a document is sealed."""
    return _SEALED in document


def any_sealed(documents: Sequence[bytes]) -> bool:
    """Whether anything in any of some documents is sealed: one search of all is quicker than one of each."""
    return _SEALED in b"\n".join(documents)


def _holders(content: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """Yield the objects in a document that hold a sealed value."""
    if isinstance(content, list):
        for each in content:
            yield from _holders(each)
    elif isinstance(content, dict):
        sealed = content.get("sealed")
        if isinstance(sealed, dict) and set(sealed) == _MEMBERS:
            yield content
        for each in content.values():
            yield from _holders(each)


def _sealed_in(holder: dict[str, Any]) -> Sealed:
    return msgspec.convert(holder["sealed"], Sealed)
