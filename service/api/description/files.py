"""The files of the contract, as ``openapi/`` keeps them: the same bytes that the service serves, and AsyncAPI's."""

from collections.abc import Mapping
from pathlib import Path

from events.schemas import schema_bytes
from service.api.description.asyncapi import asyncapi


def contract(openapi: bytes, title: str, version: str, about: str) -> Mapping[Path, bytes]:
    """Return every generated file by its path in ``openapi/``."""
    schemas = {Path("schemas", f"{name}.json"): content for name, content in schema_bytes().items()}
    return {Path("openapi.json"): openapi, Path("asyncapi.yaml"): asyncapi(title, version, about)} | schemas


def write(files: Mapping[Path, bytes], folder: Path) -> None:
    """Write files into a folder, and remove schemas from it that are no longer among them."""
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
    for there in (folder / "schemas").glob("*.json"):
        if there.relative_to(folder) not in files:
            there.unlink()
