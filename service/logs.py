"""Logs: one JSON object a line on the standard error, or something to read if that is a terminal.

What an unforeseen error says of itself can quote a request, and what is said in confidence must be in no log. So its
kind is logged and where it happened, and not its message. Loggers of the libraries are heard from warnings on.
"""

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Iterator, MutableMapping
from traceback import extract_tb, format_list
from typing import Any, BinaryIO, TypeAlias, cast

import msgspec
import structlog
from structlog.processors import TimeStamper, add_log_level
from structlog.stdlib import ProcessorFormatter, add_logger_name
from structlog.typing import Processor

from events.errors import LedgerError
from service.api.http import access

_Line: TypeAlias = MutableMapping[str, Any]
_MOST_ERRORS, _MOST_FRAMES = 10, 40
_encode = msgspec.json.Encoder(enc_hook=repr).encode
_LOG = structlog.get_logger("onrecord.process")


def configure(level: str) -> None:
    """Log from now on from ``level`` on (``debug``, ``info``, ``warning``, ``error``): our lines and the libraries'."""
    number = logging.getLevelNamesMapping()[level.upper()]
    before: list[Processor] = [
        access.told,
        add_log_level,
        add_logger_name,
        TimeStamper(fmt="iso", utc=True),
        _without_messages,
    ]
    last: Processor = _console() if sys.stderr.isatty() else _json
    structlog.configure(
        processors=[*before, last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.BytesLoggerFactory(cast("BinaryIO", _Standard())),
        cache_logger_on_first_use=True,
    )
    theirs = logging.StreamHandler(sys.stderr)
    formatted: list[Processor] = [ProcessorFormatter.remove_processors_meta, last, _text]
    theirs.setFormatter(ProcessorFormatter(processors=formatted, foreign_pre_chain=before))
    logging.basicConfig(handlers=[theirs], level=max(number, logging.WARNING), force=True)
    logging.getLogger("uvicorn").setLevel(logging.NOTSET if number > logging.DEBUG else logging.INFO)
    logging.captureWarnings(capture=True)


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """Log what a task of this loop ends with that nobody waits for, as any other error."""

    def tell(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        _LOG.error("a task failed", why=context["message"], exc_info=context.get("exception"))

    loop.set_exception_handler(tell)


class _Standard:
    """The standard error as a file, which nobody's request fails for: what cannot be written is not."""

    def write(self, line: bytes) -> None:
        """Write a line, if it can be."""
        with contextlib.suppress(OSError):
            os.write(2, line)

    def flush(self) -> None:
        """Do nothing: all is written."""


def _json(_: object, __: str, line: _Line) -> bytes:
    return _encode(line)


def _console() -> Processor:
    render = structlog.dev.ConsoleRenderer()

    def rendered(logger: Any, name: str, line: _Line) -> bytes:  # noqa: ANN401 - structlog's
        return str(render(logger, name, line)).encode(errors="replace")

    return rendered


def _text(_: object, __: str, line: Any) -> str:  # noqa: ANN401 - the last of ours makes bytes of it
    return str(line, "utf-8")


def _without_messages(_: object, __: str, line: _Line) -> _Line:
    """Replace an error by its kind, and where it and those behind it happened; what a ledger's own says is said."""
    given = line.pop("exc_info", None)
    error = given if isinstance(given, BaseException) else sys.exc_info()[1] if given is True else _second(given)
    if error is not None:
        line["exception"] = "\n".join(_described(error))
    return line


def _second(given: object) -> BaseException | None:
    """Return the error of what ``sys.exc_info()`` gave."""
    return given[1] if isinstance(given, tuple) else None


def _described(error: BaseException | None) -> Iterator[str]:
    for _ in range(_MOST_ERRORS):
        if error is None:
            return
        said = f": {error}" if isinstance(error, LedgerError) else ""
        yield f"{type(error).__module__}.{type(error).__qualname__}{said}"
        yield "".join(format_list(extract_tb(error.__traceback__)[-_MOST_FRAMES:])).rstrip()
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
