"""What the README promises: its console examples are run as they stand, and print what it shows.

``ONRECORD_TEST_UPDATE_README=1`` writes what they print now into the README.
"""

import asyncio
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import httpx2

from service.settings import Settings

README = Path(__file__).parent.parent.parent / "README.md"
_BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
_CHANGES = (
    (re.compile(r"(?<=[a-z]_)[0-9a-hjkmnp-tv-z]{26}"), "ID"),
    (re.compile(r"\b[0-9a-hjkmnp-tv-z]{13}\.\d+"), "CURSOR"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z"), "TIME"),
    (re.compile(r"(?<=position\":)\d+"), "POSITION"),
    (re.compile(r"(?<=leaf_hash\":\")[A-Za-z0-9+/]{43}="), "HASH"),
    (re.compile(r"(?<=request_id\":\")[0-9a-f]{32}"), "REQUEST"),
)
"""What differs each time, and what it is compared as."""


def normal(text: str) -> str:
    """Return a text with what differs each time taken out."""
    for pattern, name in _CHANGES:
        text = pattern.sub(name, text)
    return text


def run(commands: list[str], edit: Callable[[str], str]) -> list[str]:
    """Run commands in one shell, and return what each printed."""
    mark = "--- the next command ---"
    script = f"\necho; echo '{mark}'\n".join(edit(command) for command in commands)
    done = subprocess.run(["bash", "-c", script], text=True, capture_output=True, timeout=60, check=True)  # noqa: S603, S607 - the README's own
    return [printed.strip("\n") for printed in done.stdout.split(mark)]


async def test_the_readmes_examples_print_what_it_shows(api: httpx2.AsyncClient, settings: Settings) -> None:
    """Each command of the README works when pasted, in order, and its output is the one that is shown."""
    text = README.read_text()
    blocks = _BLOCK.findall(text)
    commands = [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]

    def here(command: str) -> str:
        key = str(settings.bootstrap_key_path)
        return command.replace("http://127.0.0.1:8181", str(api.base_url).rstrip("/")).replace(
            ".onrecord/bootstrap.key", key
        )

    printed = iter(await asyncio.to_thread(run, commands, here))

    def shown(block: re.Match[str]) -> str:
        lines = []
        for command in (line for line in block[1].splitlines() if line.startswith("$ ")):
            output = next(printed)
            lines += [command, *([output] if output else [])]
        return "```console\n" + "\n".join(lines) + "\n```"

    now = _BLOCK.sub(shown, text)
    if os.environ.get("ONRECORD_TEST_UPDATE_README"):
        README.write_text(now)
    assert normal(text) == normal(now)
