"""The walkthrough: its console lines are run as they stand, on the excerpts, and print what it shows.

``ONRECORD_TEST_UPDATE_WALKTHROUGH=1`` writes what they print now into it.
"""

import asyncio
import os
import re
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from service.settings import Settings

ROOT = Path(__file__).parent.parent.parent
WALKTHROUGH = ROOT / "docs" / "walkthrough.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_MARK = "--- the next command ---"
_BAR = re.compile(r" [━╸╺]+ ")
_TIME = re.compile(r" \d:\d\d:\d\d$", re.MULTILINE)


def run(commands: list[str], settings: Settings, url: str, folder: Path) -> list[str]:
    """Run commands in one shell, and return what each printed."""
    key = settings.bootstrap_key_path.read_text().strip()
    environment = os.environ | {
        "ONRECORD_HOME": settings.home,
        "ONRECORD_STORE_URL": settings.store_url,
        "ONRECORD_LEDGER": settings.ledger,
        "ONRECORD_URL": url,
        "ONRECORD_KEY": key,
        "PYTHONPATH": str(ROOT),
    }
    here = f'onrecord() {{ "{sys.executable}" -m service.cli "$@"; }}\n'
    script = here + f"\necho '{_MARK}'\n".join(commands).replace("=copy", f"={settings.ledger}-copy")
    script = script.replace("--ledger main", f"--ledger {settings.ledger}")
    done = subprocess.run(  # noqa: S603 - the walkthrough's own
        ["bash", "-c", script],  # noqa: S607 - the shell that a reader has
        text=True,
        capture_output=True,
        timeout=280,
        check=True,
        env=environment,
        cwd=folder,
    )
    return [_TIME.sub("", _BAR.sub(" … ", printed)).strip("\n") for printed in done.stdout.split(_MARK)]


@pytest.mark.timeout(300)
async def test_the_walkthrough_shows_what_its_commands_print(
    api: httpx2.AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    """Each command works when pasted, in order, and its output is the one that is shown, but for progress bars."""
    (tmp_path / "samples").symlink_to(ROOT / "samples")
    text = WALKTHROUGH.read_text()
    commands = [line[2:] for block in _BLOCK.findall(text) for line in block.splitlines() if line.startswith("$ ")]
    url = str(api.base_url).rstrip("/")
    printed = iter(await asyncio.to_thread(run, commands, settings, url, tmp_path))

    def shown(block: re.Match[str]) -> str:
        lines = []
        for command in (line for line in block[1].splitlines() if line.startswith("$ ")):
            output = next(printed)
            lines += [command, *([output] if output else [])]
        return "```console\n" + "\n".join(lines) + "\n```"

    now = _BLOCK.sub(shown, text)
    if os.environ.get("ONRECORD_TEST_UPDATE_WALKTHROUGH"):
        WALKTHROUGH.write_text(now)
    assert now == text
