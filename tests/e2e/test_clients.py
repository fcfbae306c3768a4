"""Clients that integrators generate from the contract: they compile, and the Python one records the Il-76 story."""

import compileall
import importlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx2
import pytest

from service.settings import Settings
from tests.conftest import ROOT
from tests.e2e.test_il76 import BEFORE_THE_STEPS, STEPS

_OPENAPI = ROOT / "openapi" / "openapi.json"
_TOOLS = ROOT / "openapi" / "lint" / "node_modules" / ".bin"
_REQUIRED = bool(os.environ.get("ONRECORD_TEST_REQUIRE_NODE"))
_REFERENCES = {
    **dict.fromkeys(("affiliated_to", "speaker_id", "publisher_id", "relay_ids", "source_id"), ("source",)),
    **dict.fromkeys(("supplied_by", "declared_by"), ("source",)),
    **dict.fromkeys(("claim_id", "parent_id"), ("claim",)),
    "repeats": ("statement",),
    "rests_on": ("source", "evidence"),
}
"""Members of the sample story that name other parts of it by their keys, and the kinds of those."""


def run(*command: str | Path) -> None:
    """Run a command that must succeed."""
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=100)  # noqa: S603 - our own
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def client_package(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a client that openapi-python-client generated, ready to be imported."""
    folder = tmp_path_factory.mktemp("client")
    (folder / "config.yaml").write_text("post_hooks: []\n")
    generator = Path(sys.executable).with_name("openapi-python-client")
    options = ("--meta", "none", "--config", folder / "config.yaml", "--fail-on-warning")
    run(generator, "generate", "--path", _OPENAPI, "--output-path", folder / "onrecord_client", *options)
    assert compileall.compile_dir(folder / "onrecord_client", quiet=1, workers=1)
    sys.path.insert(0, str(folder))
    yield "onrecord_client"
    sys.path.remove(str(folder))


class Desk:
    """Records a story through the functions of a generated client, by the keys of its file."""

    def __init__(self, package: str, url: str, key: str) -> None:
        self._package = package
        self._client = self._module("client").AuthenticatedClient(base_url=url, token=key)
        self._ids: dict[str, str] = {}

    async def close(self) -> None:
        """Leave no connection."""
        await self._client.get_async_httpx_client().aclose()

    def _module(self, name: str) -> ModuleType:
        return importlib.import_module(f"{self._package}.{name}")

    async def call(
        self, operation: str, *path: str, body: tuple[str, dict[str, Any]] | None = None, **query: Any
    ) -> Any:
        """Call the function of an operation, and return what it parsed, which is no problem."""
        made = {} if body is None else {"body": getattr(self._module("models"), body[0]).from_dict(body[1])}
        answer = await self._module(f"api.{operation}").asyncio(*path, client=self._client, **made, **query)
        assert answer is not None
        assert not isinstance(answer, self._module("models").Problem), (answer.detail, made)
        return answer

    async def record(self, kind: str, key: str, operation: str, *path: str, body: tuple[str, dict[str, Any]]) -> None:
        """Record a part of the story, and remember under its key what it is called now."""
        receipt = await self.call(operation, *path, body=(body[0], self.named(body[1])))
        assert receipt.events[0].position <= receipt.position
        self._ids[f"{kind}/{key}"] = receipt.id

    def id_of(self, kind: str, key: str) -> str:
        """Return the identifier of what was recorded under a key."""
        return self._ids[f"{kind}/{key}"]

    def named(self, value: Any, kinds: tuple[str, ...] = ()) -> Any:
        """Return a part of the story with identifiers where the file has keys."""
        if isinstance(value, dict):
            return {name: self.named(each, _REFERENCES.get(name, kinds)) for name, each in value.items()}
        if isinstance(value, list):
            return [self.named(each, kinds) for each in value]
        return next((self._ids[f"{kind}/{value}"] for kind in kinds if f"{kind}/{value}" in self._ids), value)


async def record_story(desk: Desk, story: dict[str, Any]) -> None:
    """Record a whole story file."""
    about = {name: value for name, value in story["story"].items() if name != "key"}
    await desk.record("story", "it", "stories.open_story", body=("Story", about))
    for each in story["sources"]:
        key = each.pop("key")
        await desk.record("source", key, "sources.register_source", body=("Source", each))
    for each in story["claims"]:
        key = each.pop("key")
        body = each | {"story_id": desk.id_of("story", "it")}
        await desk.record("claim", key, "claims.register_claim", body=("NewClaim", body))
    for each in story["entries"]:
        await record_entry(desk, each)


async def record_entry(desk: Desk, entry: dict[str, Any]) -> None:
    """Record one entry of a story file."""
    key, claim = entry["key"], desk.id_of("claim", entry["claim"])
    editor = "person_" + "0" * 26
    match entry:
        case {"statement": said}:
            await desk.record("statement", key, "claims.record_statement", claim, body=("Statement", said))
        case {"absence": noted}:
            await desk.record("absence", key, "claims.note_absence", claim, body=("Absence", noted))
        case {"evidence": thing}:
            await desk.record("evidence", key, "claims.add_evidence", claim, body=("Evidence", thing))
        case {"authentication": found}:
            evidence = desk.id_of("evidence", found.pop("evidence"))
            body = ("Authentication", found | {"by": editor})
            await desk.record("authentication", key, "evidence.authenticate_evidence", evidence, body=body)
        case {"assessment": judged}:
            body = ("Assessment", judged | {"by": editor})
            await desk.record("assessment", key, "claims.make_assessment", claim, body=body)
        case _:
            raise AssertionError(entry)


async def test_the_generated_client_records_the_story(
    client_package: str, api: httpx2.AsyncClient, settings: Settings
) -> None:
    """Recorded through generated functions, every claim of the Il-76 story stands where the rules say."""
    desk = Desk(client_package, str(api.base_url), settings.bootstrap_key_path.read_text().strip())
    await record_story(desk, json.loads((ROOT / "samples" / "il76.json").read_bytes()))
    log = await api.get("/v1/ledgers")
    after = f"{log.json()['items'][0]['epoch']}.{log.json()['items'][0]['position']}"
    story = desk.id_of("story", "it")
    page = await desk.call("claims.list_claims", story=story, limit=200, onrecord_after=after)
    expected = dict(BEFORE_THE_STEPS)
    for step in STEPS:
        expected |= step
    stands = {each.id: each.standing for each in page.items}
    assert {key: (state, sorted(flags), digit) for key, (state, flags, digit) in expected.items()} == {
        key: (standing.state.value, [flag.value for flag in standing.flags], standing.credibility)
        for key in expected
        if (standing := stands[desk.id_of("claim", key)])
    }
    history = await desk.call("claims.get_claim_history", desk.id_of("claim", "fell"), limit=200)
    assert {"claim.registered", "statement.recorded", "evidence.added", "claim.state_changed"} <= {
        str(each.type_) for each in history.events
    }
    await desk.close()


@pytest.mark.skipif(
    not (_TOOLS.exists() or _REQUIRED), reason="the npm packages of openapi/lint are not installed (make contract)"
)
def test_types_for_typescript_compile(tmp_path: Path) -> None:
    """What openapi-typescript makes of the contract compiles strictly, and has the types that a client works with."""
    assert shutil.which("node"), "Node.js is not installed"
    run(_TOOLS / "openapi-typescript", _OPENAPI, "--output", tmp_path / "onrecord.ts")
    (tmp_path / "use.ts").write_text(
        'import type { components, operations, webhooks } from "./onrecord";\n'
        'type Claim = operations["getClaim"]["responses"]["200"]["content"]["application/json"];\n'
        'type Changed = webhooks["claim.state_changed"]["post"]["requestBody"]["content"];\n'
        'export const state = (claim: Claim): components["schemas"]["State"] | undefined => claim.standing?.state;\n'
        'export const kind = (event: components["schemas"]["Event"]): string => event.type;\n'
        'export type Body = Changed["application/cloudevents+json"];\n'
    )
    strict = ("--noEmit", "--strict", "--skipLibCheck", "false", "--target", "es2022", "--moduleResolution", "bundler")
    run(_TOOLS / "tsc", *strict, "--module", "esnext", tmp_path / "use.ts", tmp_path / "onrecord.ts")
