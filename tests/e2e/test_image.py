"""The image's dependencies: a part of what the suite runs on, to the hash."""

from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def _locked(name: str) -> set[str]:
    """Return the entries of a lock file, each as one line: name, version, marker and hashes."""
    entries: list[str] = []
    for line in (ROOT / name).read_text().splitlines():
        if not line.startswith(" "):
            entries.append(line)
        elif not line.lstrip().startswith("#"):
            entries[-1] += line
    return set(entries)


def test_the_image_has_what_the_suite_runs_on() -> None:
    """Every dependency of the image is locked in requirements.lock too, in the same version with the same hashes."""
    assert set() == _locked("requirements.runtime.lock") - _locked("requirements.lock")
