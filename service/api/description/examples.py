"""The examples of the description: real requests and answers, recorded from the Il-76 story and replayed by a test."""

from importlib.resources import files
from typing import Any

import msgspec

from events.schemas import Schema

_RECORDED: dict[str, dict[str, Any]] = msgspec.json.decode(files(__package__).joinpath("examples.json").read_bytes())
_NAME = "il76"
_SUMMARY = "From the Il-76 story (`make run`)"


def give(operation: Schema) -> None:
    """Add to an operation the request that was recorded for it, if there is one, and its answer."""
    recorded = _RECORDED["operations"].get(operation["operationId"])
    if recorded is None:
        return
    sent = recorded.get("path", {}) | recorded.get("query", {}) | recorded.get("headers", {})
    for parameter in operation["parameters"]:
        if (value := sent.get(parameter.get("name"))) is not None:
            parameter["example"] = [value] if parameter["schema"].get("type") == "array" else value
    if "body" in recorded:
        _show(operation["requestBody"]["content"], recorded["body"])
    _show(operation["responses"][str(recorded["status"])]["content"], recorded["answer"])


def give_problems(responses: dict[str, Schema]) -> None:
    """Add a recorded problem to the component of each status that one was recorded for."""
    for status, recorded in _RECORDED["problems"].items():
        if response := responses.get(f"Problem{status}"):
            _show(response["content"], recorded["answer"])


def _show(content: Schema, value: Any) -> None:  # noqa: ANN401 - any JSON
    """Show a value as the example of the first of the media types that there are: the others are streams of it."""
    first = next(iter(content.values()))
    first["examples"] = {_NAME: {"summary": _SUMMARY, "value": value}}
