"""Settings: what cannot be used is refused by name, and the README's table says what there is."""

import re
from pathlib import Path

import msgspec
import pytest

from service.settings import BadSettings, Settings, read, wants_traces

README = Path(__file__).parent.parent.parent / "README.md"
_ROW = re.compile(r"^\| (?P<names>(?:`ONRECORD_[A-Z_]+`(?:, )?)+) \| (?P<default>.*?) \| .+ \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`]+)`")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HOME", ""),
        ("STORE_URL", "http://example.org"),
        ("STORE_URL", "redis://"),
        ("STORE_URL", "redis+cluster://host"),
        ("LEDGER", "No Spaces"),
        ("LEDGER", "main\n"),
        ("HOST", ""),
        ("HOST", "a b"),
        ("PORT", "many"),
        ("PORT", "-1"),
        ("PORT", "65536"),
        ("PORT", ""),
        ("METRICS_PORT", "x"),
        ("DRAIN_SECONDS", "nan"),
        ("DRAIN_SECONDS", "-1"),
        ("DRAIN_SECONDS", "301"),
        ("ALLOW_LOSSY_STORE", "perhaps"),
        ("REPLICAS", "1.5"),
        ("LOG_LEVEL", "loud"),
        ("LOG_LEVEL", "INFO"),
        ("STREAMS", "-1"),
        ("WEBHOOK_ALLOW", "localhost"),
        ("WEBHOOK_PROXY", "proxy:3128"),
        ("URL", "example.org"),
        ("KEY", "a b"),
        ("PROT", "8181"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused_by_name(name: str, value: str) -> None:
    """Every kind of wrong value, and a name that there is not, ends the start with that variable's name."""
    with pytest.raises(BadSettings, match=f"^ONRECORD_{name}\\b"):
        read({f"ONRECORD_{name}": value})


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"ONRECORD_PORT": "9000", "ONRECORD_METRICS_PORT": "9000"}, "ONRECORD_METRICS_PORT"),
        ({"ONRECORD_METRICS_PORT": "8181"}, "ONRECORD_METRICS_PORT"),
        ({"ONRECORD_REPLICAS": "1"}, "ONRECORD_REPLICAS"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(environment: dict[str, str], named: str) -> None:
    """Two servers on one port, or replicas of a store that has none: the setting to change is named."""
    with pytest.raises(BadSettings, match=f"^{named}="):
        read(environment)


@pytest.mark.parametrize("name", ["KEY", "STORE_URL", "WEBHOOK_PROXY"])
def test_what_may_be_a_secret_is_not_shown(name: str) -> None:
    """A key or a URL with a password that cannot be used is refused without being printed."""
    with pytest.raises(BadSettings) as refused:
        read({f"ONRECORD_{name}": "ftp://desk:Hunting the Snark@host"})
    assert "Snark" not in str(refused.value)


def test_the_readme_has_every_setting_with_its_default() -> None:
    """The table names what there is, and nothing else; a default that is a value is the one that holds."""
    defaults = {f"ONRECORD_{field.name.upper()}": field.default for field in msgspec.structs.fields(Settings)}
    listed: list[str] = []
    for row in _ROW.finditer(README.read_text()):
        names, told = _CODE.findall(row["names"]), _CODE.findall(row["default"])
        listed += names
        if row["default"] == ", ".join(f"`{each}`" for each in told):
            shown = [str(int(value) if isinstance(value, bool) else value) for value in map(defaults.get, names)]
            assert shown == told, names
        else:
            assert not any(map(defaults.get, names)), names
    assert sorted(defaults) == sorted(listed)


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({"OTEL_SERVICE_NAME": "desk"}, False),
    ],
)
def test_traces_are_wanted_when_an_endpoint_is_named(environment: dict[str, str], wanted: bool) -> None:  # noqa: FBT001 - the table's
    """OpenTelemetry's own variables decide, also those that turn it off."""
    assert wanted == wants_traces(environment)
