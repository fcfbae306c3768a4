"""Dashboard and alerts: they ask for what there is, and the manual says what each alert means."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client import CollectorRegistry

from service.metrics import Metrics

DOCS = Path(__file__).parent.parent.parent / "docs"
_NAME = re.compile(r"\b(?:onrecord|process)_[a-z_]+\b")
_SELECTOR = re.compile(r"\b((?:onrecord|process)_[a-z_]+)\{([^}]*)\}")
_MATCHER = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_OF_THE_SCRAPE = {"instance", "job", "le"}


def exprs_of(dashboard: Any) -> Iterator[str]:
    """Yield the queries of a dashboard's panels and variables."""
    for panel in dashboard["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def rules() -> list[Any]:
    """Return the alerting rules."""
    groups = yaml.safe_load((DOCS / "operating" / "alerts.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def exposed() -> dict[str, set[str]]:
    """Return the names of all series that are exposed, with their labels."""
    registry: CollectorRegistry = Metrics("0")._registry
    labels: dict[str, set[str]] = {}
    for collector, names in registry._collector_to_names.items():
        for name in names:
            labels[name] = set(getattr(collector, "_labelnames", ()))
    return labels | {sample.name: set() for family in registry.collect() for sample in family.samples} | labels


def test_the_dashboard_asks_for_metrics_that_there_are() -> None:
    """Every metric of every panel, and every label by which one is selected, exists; there are panels for each part."""
    dashboard = json.loads((DOCS / "operating" / "grafana.json").read_text())
    found = exposed()
    exprs = list(exprs_of(dashboard))
    asked = {name for expr in exprs for name in _NAME.findall(expr)}
    assert asked <= set(found), asked - set(found)
    for name, matchers in (pair for expr in exprs for pair in _SELECTOR.findall(expr)):
        assert set(_MATCHER.findall(matchers)) <= found[name] | _OF_THE_SCRAPE, name
    ours = {name for name in found if name.startswith("onrecord_")}
    families = {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in ours}
    unseen = families - {re.sub(r"_(bucket|count|sum|created|total)$", "", name) for name in asked}
    assert not unseen


def test_every_alert_asks_for_metrics_that_there_are_and_is_explained() -> None:
    """Each rule has a severity and a summary, asks for what is exposed, and has its section in the manual."""
    found = exposed()
    manual = (DOCS / "operating.md").read_text()
    headings = re.findall(r"^### (OnRecord\w+)$", manual, re.MULTILINE)
    assert [rule["alert"] for rule in rules()] == headings
    for rule in rules():
        asked = set(_NAME.findall(rule["expr"]))
        assert asked <= set(found), rule["alert"]
        assert rule["labels"]["severity"] in {"critical", "warning"}
        assert rule["annotations"]["summary"]
        for name, matchers in _SELECTOR.findall(rule["expr"]):
            assert set(_MATCHER.findall(matchers)) <= found[name] | _OF_THE_SCRAPE, rule["alert"]


def test_labels_have_few_values() -> None:
    """No label of any metric can take what a client makes up: routes, ledgers, projections, kinds, duties only."""
    labels = {label for name, its in exposed().items() if name.startswith("onrecord_") for label in its}
    bounded = {"ledger", "projection", "server", "method", "route", "status", "problem", "outcome", "duty", "version"}
    assert labels <= bounded
