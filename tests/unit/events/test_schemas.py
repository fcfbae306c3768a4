"""The JSON Schemas of events: what a stranger checks a ledger's bytes with."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from events.catalog import CATALOG
from events.schemas import ENVELOPE, event_schemas, schema_bytes, versions

_FIXTURES = Path(__file__).parent / "fixtures"
_FIGURE = {"measure": "people"}


def check(name: str, data: Any) -> None:
    """Check data against a schema as a stranger would: from the bytes that are served."""
    schema = json.loads(schema_bytes()[name])
    Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER).validate(data)


def test_every_schema_is_one() -> None:
    """Each is valid JSON Schema 2020-12, and its identifier is the dataschema of the events that it describes."""
    for name, schema in event_schemas().items():
        Draft202012Validator.check_schema(schema)
        type_, _, version = name.rpartition(".")
        assert f"urn:onrecord:schema:{type_}:{version}" == schema["$id"]


def test_there_is_a_schema_for_every_version_of_every_type() -> None:
    """A former version keeps its schema when a newer one comes."""
    expected = {f"{type_}.{version}" for type_, event in CATALOG.items() for version in range(1, event.VERSION + 1)}
    assert expected | {ENVELOPE} == set(event_schemas())
    assert len(expected) == len(list(versions()))


@pytest.mark.parametrize("fixture", [path.name for path in _FIXTURES.glob("*.ndjson")])
def test_what_older_releases_recorded_is_as_its_schema_says(fixture: str) -> None:
    """Bytes of every release so far are valid by the schema that their dataschema names."""
    for line in (_FIXTURES / fixture).read_text().splitlines():
        event = json.loads(line)
        check(ENVELOPE, event)
        check(event["dataschema"].removeprefix("urn:onrecord:schema:").replace(":", "."), event["data"])


@pytest.mark.parametrize(
    ("figure", "valid"),
    [
        ({"value": 3}, True),
        ({"value": 3, "qualifier": "about"}, True),
        ({"low": 1, "high": 2, "qualifier": "range"}, True),
        ({"low": 1, "high": 2}, False),
        ({"value": 3, "qualifier": "range"}, False),
        ({"value": 3, "low": 1}, False),
        ({"value": 3, "unit": "people", "colour": "red"}, False),
    ],
)
def test_a_schema_knows_the_rules_of_figures(figure: dict[str, Any], *, valid: bool) -> None:
    """A figure has a value, or low and high if it is a range; unknown members are refused."""
    story = f"story_{'0' * 26}"
    data = {
        "claim_id": f"claim_{'0' * 26}",
        "claim": {"story_id": story, "text": "x", "quantities": [_FIGURE | figure]},
    }
    if valid:
        check("claim.registered.1", data)
    else:
        with pytest.raises(ValidationError):
            check("claim.registered.1", data)
