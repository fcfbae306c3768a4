"""An auditor and an operator at a terminal: verify, replay, archive, and bring a lost ledger back. Real processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from service.audit import log_key
from tests.conftest import ROOT
from tests.e2e.test_serve import Terminal


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal with a home of its own."""
    terminal = Terminal(tmp_path / "home")
    yield terminal
    for each in terminal.started:
        if each.poll() is None:
            each.send_signal(signal.SIGINT)
        each.wait(30)
        if each.stdout:
            each.stdout.close()


def run(terminal: Terminal, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(  # noqa: S603 - our own
        [Path(sys.executable).with_name("onrecord"), *words],
        env=terminal.environment,
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )


def sealed(terminal: Terminal, events: int) -> bytes:
    """Wait until so many events are sealed, and return the checkpoint over them."""
    file, end = terminal.home / "archive" / "main" / "checkpoint", time.monotonic() + 30
    while not file.exists() or int(file.read_text().split("\n")[1]) < events:
        assert time.monotonic() < end
        time.sleep(0.05)
    return file.read_bytes()


def stop(process: subprocess.Popen[str]) -> None:
    """Stop a service in order."""
    process.send_signal(signal.SIGINT)
    assert process.wait(30) == 0


@pytest.mark.timeout(240)
def test_a_record_is_verified_lost_and_brought_back(terminal: Terminal, tmp_path: Path) -> None:
    """From the first start to a restore, with nothing set: what the README and docs/audit.md say, as it is typed."""
    serving, _ = terminal.start("serve", "--sample", "samples/il76.json")
    before = run(terminal, "events").stdout
    many = len(before.splitlines())
    kept = tmp_path / "kept"
    kept.write_bytes(sealed(terminal, many))
    key = run(terminal, "log", "key").stdout.strip()
    assert key.startswith("onrecord/main/")
    assert key == run(terminal, "keys", "log").stdout.strip()
    page = tmp_path / "report.html"
    verified = run(terminal, "verify", "--checkpoint", str(kept), "--html", str(page))
    assert (verified.returncode, "Nothing was altered" in verified.stdout) == (0, True), verified.stdout
    assert "Nothing was altered" in page.read_text()
    url = f"http://127.0.0.1:{terminal.port}/v1"
    terminal.environment["ONRECORD_KEY"] = (terminal.home / "bootstrap.key").read_text().strip()
    remote = run(terminal, "verify", url, "--key", key, "--json")
    assert remote.returncode == 0, remote.stdout + remote.stderr
    assert json.loads(remote.stdout)["size"] == many
    alone = [sys.executable, str(ROOT / "docs" / "verifier.py"), str(terminal.home / "archive" / "main"), key]
    told = subprocess.run([*alone, "--checkpoint", str(kept)], text=True, capture_output=True, timeout=60, check=True)  # noqa: S603
    assert told.stdout == f"All {many} events are those that the log signed.\n"
    assert before == run(terminal, "replay").stdout == run(terminal, "replay", "--archived").stdout
    assert before.splitlines()[100:] == run(terminal, "replay", "--after", "100").stdout.splitlines()
    nowhere = run(terminal, "replay", "--into", "gopher://x")
    assert (nowhere.returncode, "'gopher://x' names no store" in nowhere.stderr) == (1, True), nowhere.stderr
    assert "No more events can leave" in run(terminal, "archive", "--keep", "10").stderr
    cursor = httpx2.get(
        f"{url}/events?limit=1", headers={"Authorization": f"Bearer {terminal.environment['ONRECORD_KEY']}"}
    )
    stop(serving)
    shutil.rmtree(terminal.home / "store")
    lost = run(terminal, "serve")
    assert (lost.returncode, "onrecord restore" in lost.stderr) == (1, True), lost.stderr
    restored = run(terminal, "restore", "--reason", "The disk broke.")
    assert restored.returncode == 0, restored.stderr
    serving, _ = terminal.start("serve")
    after = run(terminal, "events").stdout
    assert before.splitlines() == after.splitlines()[:many]
    opening = json.loads(after.splitlines()[many])
    assert (opening["type"], opening["data"]["size"]) == ("ledger.restored", many)
    headers = {"Authorization": f"Bearer {(terminal.home / 'bootstrap.key').read_text().strip()}"}
    old = httpx2.get(f"{url}/events", params={"after": cursor.json()["next_after"]}, headers=headers)
    assert (old.status_code, old.json()["resume_after"].endswith(".1")) == (410, True)
    sealed(terminal, many + 1)
    again = run(terminal, "verify", "--checkpoint", str(kept), "--key", key)
    assert again.returncode == 0, again.stdout
    stop(serving)
    assert run(terminal, "restore").returncode == 1
    assert os.listdir(terminal.home / "archive") == ["main"]  # noqa: PTH208 - names alone


@pytest.mark.timeout(240)
def test_an_archive_that_burnt_is_begun_again(terminal: Terminal, tmp_path: Path) -> None:
    """By a command that gives a reason, with the workers stopped; what was kept of before holds against it."""
    serving, _ = terminal.start("serve", "--sample", "samples/il76.json")
    many = len(run(terminal, "events").stdout.splitlines())
    kept = tmp_path / "kept"
    kept.write_bytes(sealed(terminal, many))
    why = ("--because", "The disk burnt.")
    beside = run(terminal, "log", "begin-again", *why)
    assert (beside.returncode, "stop the workers first" in beside.stderr) == (1, True), beside.stderr
    stop(serving)
    unlost = run(terminal, "log", "begin-again", *why)
    assert (unlost.returncode, "nothing is lost" in unlost.stderr) == (1, True), unlost.stderr
    shutil.rmtree(terminal.home / "archive")
    assert run(terminal, "log", "begin-again").returncode != 0
    key = terminal.home / "log" / "main.key"
    key.rename(tmp_path / "key")
    keyless = run(terminal, "log", "begin-again", *why)
    assert (keyless.returncode, "there are no keys of a log" in keyless.stderr) == (1, True), keyless.stderr
    (tmp_path / "key").rename(key)
    begun = run(terminal, "log", "begin-again", *why, "--checkpoint", str(kept))
    assert begun.returncode == 0, begun.stderr
    assert f"The first {many} events lead to the checkpoint that you gave." in begun.stderr
    serving, _ = terminal.start("serve")
    lost = json.loads(run(terminal, "events", "--type", "ledger.archive_lost").stdout)
    assert (lost["data"]["sealed"], lost["data"]["reason"]) == (many, "The disk burnt.")
    sealed(terminal, many + 1)
    verified = run(terminal, "verify", "--checkpoint", str(kept))
    assert verified.returncode == 0, verified.stdout
    stop(serving)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["verify", "nowhere"], "nowhere is no directory"),
        (["verify", "."], "there is none: nothing was sealed here, or this is no archive"),
        (["verify", ".", "--key", "foo"], "'foo' is no verifier key"),
        (["verify", "--checkpoint", "nowhere"], "the older checkpoint cannot be read"),
        (["verify", "ftp://x/y"], 'Unable to recognise URL "ftp://x/y"'),
        (["verify", "http://127.0.0.1:1/v1"], "http://127.0.0.1:1/v1/checkpoint cannot be read"),
        (["verify", "--html", "nowhere/report.html"], "the report cannot be written"),
        (["replay", "--after", "-5"], "Must be >= 0"),
        (["replay", "--archived"], "nothing of 'main' is sealed in"),
        (["restore"], "nothing of 'main' is sealed in"),
        (["archive", "--keep", "-1"], "Must be >= 0"),
        (["archive", "--before", "yesterday"], "'yesterday' is no moment"),
        (["log", "retire", "abc"], "no key of the log has the id 'abc'"),
        (["log", "begin-again"], "--because"),
    ],
    ids=lambda it: " ".join(it) if isinstance(it, list) else "",
)
def test_a_mistake_is_told_in_a_line(terminal: Terminal, tmp_path: Path, words: list[str], told: str) -> None:
    """What is wrong with it, with an exit code, and never the inside of the program."""
    log_key.opened(log_key.path_of(terminal.home, "main"), "example.org/main")
    ended = run(terminal, *(str(tmp_path) if word == "." else word for word in words))
    said = " ".join((ended.stdout + ended.stderr).replace("\u2502", " ").split())
    assert told in said
    assert ended.returncode in (1, 2)
    assert "Traceback" not in said
    assert "Debug source" not in said
