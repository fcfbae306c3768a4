"""Proofs, by the test vectors of transparency-dev/merkle, which lie beside the project where they are at hand."""

import base64
from pathlib import Path
from typing import Any

import msgspec
import pytest

from events.transparency.errors import BadProof
from events.transparency.proofs import verify_consistency, verify_inclusion

HERE = Path(__file__).parent
VECTORS = next((found for each in HERE.parents if (found := each / "shared" / "vectors" / "rfc6962").is_dir()), HERE)


def cases(kind: str) -> list[Any]:
    """Return the files of a kind; one that skips and says so where they are not at hand."""
    found = sorted((VECTORS / kind).rglob("*.json"))
    missing = pytest.param(None, marks=pytest.mark.skip(reason="the RFC 6962 vectors are not beside the project"))
    return [pytest.param(each, id=str(each.relative_to(VECTORS))) for each in found] or [missing]


def read(file: Path) -> dict[str, Any]:
    """Return a case."""
    found: dict[str, Any] = msgspec.json.decode(file.read_bytes())
    return found


def hash_(text: str | None) -> bytes:
    """Return a hash from its base64."""
    return base64.b64decode(text or "")


@pytest.mark.parametrize("file", cases("inclusion"))
def test_inclusion_comes_out_as_the_vector_says(file: Path) -> None:
    """Every case is accepted or refused as others accept or refuse it."""
    case = read(file)
    hashes = [hash_(each) for each in case["proof"] or ()]
    try:
        verify_inclusion(hash_(case["leafHash"]), case["leafIdx"], case["treeSize"], hashes, hash_(case["root"]))
    except BadProof:
        accepted = False
    else:
        accepted = True
    assert accepted is not case["wantErr"], case["desc"]


@pytest.mark.parametrize("file", cases("consistency"))
def test_consistency_comes_out_as_the_vector_says(file: Path) -> None:
    """Every case is accepted or refused as others accept or refuse it; one from size 0 is always refused."""
    case = read(file)
    hashes = [hash_(each) for each in case["proof"] or ()]
    try:
        verify_consistency(case["size1"], case["size2"], hashes, hash_(case["root1"]), hash_(case["root2"]))
    except BadProof:
        accepted = False
    else:
        accepted = True
    assert accepted is not case["wantErr"], case["desc"]
