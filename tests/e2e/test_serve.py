"""``onrecord serve`` and the other commands as a person at a terminal meets them: real processes, real signals."""

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from events.ledger import Ledger
from service.run import checked_store, load_story, with_store
from service.settings import Settings

ROOT = Path(__file__).parent.parent.parent
ONRECORD = Path(sys.executable).with_name("onrecord")
_BOUND = 60


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


class Terminal:
    """A terminal in the project's folder, with a home and a port of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        self.environment = {name: value for name, value in os.environ.items() if not name.startswith("ONRECORD_")}
        self.environment |= {"ONRECORD_HOME": str(home), "ONRECORD_PORT": str(self.port), "COLUMNS": "120"}
        self.started: list[subprocess.Popen[str]] = []

    def start(self, *words: str) -> tuple[subprocess.Popen[str], str]:
        """Start a command that goes on, and return it with what it printed until it was ready."""
        process = subprocess.Popen(  # noqa: S603 - our own command
            [ONRECORD, *words],
            cwd=ROOT,
            env=self.environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.started.append(process)
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if line.startswith("Ctrl-C stops"):
                break
        return process, printed

    def open(self, *words: str) -> subprocess.Popen[str]:
        """Start a command that goes on printing."""
        process = subprocess.Popen(  # noqa: S603 - our own command
            [ONRECORD, *words], cwd=ROOT, env=self.environment, text=True, stdout=subprocess.PIPE
        )
        self.started.append(process)
        return process

    def record(self, path: str, body: object) -> None:
        """Record something over HTTP."""
        key = (self.home / "bootstrap.key").read_text().strip()
        headers = {"Authorization": f"Bearer {key}"}
        assert httpx2.post(f"http://127.0.0.1:{self.port}{path}", json=body, headers=headers).status_code == 201

    def run(self, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run a command to its end."""
        return subprocess.run(  # noqa: S603 - our own command
            [ONRECORD, *words],
            cwd=ROOT,
            env=self.environment | environment,
            text=True,
            capture_output=True,
            timeout=_BOUND,
            check=False,
        )

    def close(self) -> None:
        """End whatever still runs."""
        for process in self.started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(_BOUND)
            if process.stdout:
                process.stdout.close()


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    """A terminal whose processes end with the test."""
    terminal = Terminal(tmp_path / "home")
    yield terminal
    terminal.close()


def stop(process: subprocess.Popen[str], sign: signal.Signals = signal.SIGINT) -> str:
    """Send a signal and return what was printed after it; the process must end well."""
    process.send_signal(sign)
    rest, _ = process.communicate(timeout=_BOUND)
    assert process.returncode == 0, rest
    return rest


def test_serve_shows_the_story_and_its_curl_lines_work_when_pasted(terminal: Terminal) -> None:
    """One command shows the claims with state and flags; each of its three curl lines answers; Ctrl-C ends it all."""
    process, printed = terminal.start("serve", "--sample", "samples/il76.json")
    assert "99 of 99 parts were new" in printed
    assert "28 claims" in printed
    assert re.search(r"corroborated\s+2", printed)
    curls = [line.strip() for line in printed.splitlines() if line.strip().startswith("curl ")]
    answers = [
        subprocess.run(["bash", "-c", line], text=True, capture_output=True, timeout=_BOUND, check=True).stdout  # noqa: S603, S607 - what a person pastes
        for line in curls
    ]
    assert len(answers) == 3
    assert answers[0].startswith('{"items":[{"id":"claim_')
    assert '"standing":{"state":"unverified"' in answers[1]
    assert len(answers[2].splitlines()) == 169
    assert "Traceback" not in stop(process)


def test_a_second_start_finds_everything_as_it_was(terminal: Terminal) -> None:
    """After Ctrl-C, and after a SIGKILL that leaves the embedded store behind, the next start has every event."""
    first, _ = terminal.start("serve", "--sample", "samples/il76.json")
    before = terminal.run("events").stdout
    stop(first)
    second, printed = terminal.start("serve", "--sample", "samples/il76.json")
    assert "parts were new" not in printed
    assert before == terminal.run("events").stdout
    second.kill()
    second.wait(_BOUND)
    third, _ = terminal.start("serve")
    assert before == terminal.run("events").stdout
    stop(third, signal.SIGTERM)


def test_whoever_follows_is_told_at_once_and_sits_out_a_restart(terminal: Terminal) -> None:
    """`events --follow` prints what its filters leave as it is recorded, and goes on when the service comes back."""
    service, _ = terminal.start("serve", "--sample", "samples/il76.json")
    log = terminal.run("events").stdout.splitlines()
    begin = f"{json.loads(log[0])['data']['epoch']}.0"
    wanted = [line for line in log if '"type":"story.' in line]
    assert wanted == terminal.run("events", "--type", "story.*").stdout.splitlines()
    following = terminal.open("events", "--follow", "--type", "story.*", "--after", begin)
    assert following.stdout is not None
    assert wanted == [following.stdout.readline().rstrip() for _ in wanted]
    terminal.record("/v1/sources", {"name": "Nobody asked", "kind": "person"})
    for title in ("While it runs", "After a restart"):
        terminal.record("/v1/stories", {"title": title})
        assert title == json.loads(following.stdout.readline())["data"]["story"]["title"]
        stop(service)
        service, _ = terminal.start("serve")
    following.send_signal(signal.SIGINT)
    assert following.communicate(timeout=_BOUND)[0] == ""
    stop(service)
    nobody = terminal.run("events", "--follow")
    assert (nobody.returncode, nobody.stdout) == (1, "")
    assert "does not answer" in nobody.stderr


def test_what_tests_start_heeds_an_interrupt_in_the_background_too() -> None:
    """A shell without job control lets what it runs in the background ignore SIGINT; the suite passes that not on."""
    heeds = "signal.getsignal(signal.SIGINT) is signal.default_int_handler"
    script = f"import signal; from tests.conftest import pytest_configure; pytest_configure(); assert {heeds}"
    inherits = "import signal; assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN"
    for each in (inherits, script):
        words = ["sh", "-c", 'python=$1; shift; "$python" -c "$1" & wait $!', "sh", sys.executable, each]
        subprocess.run(words, cwd=ROOT, check=True, timeout=_BOUND)  # noqa: S603 - ours


def test_claims_and_events_ask_the_running_service(terminal: Terminal) -> None:
    """The list can be narrowed, and shown as JSON lines; a wrong filter is one clear line."""
    process, _ = terminal.start("serve", "--sample", "samples/il76.json")
    assert "2 claims" in terminal.run("claims", "--state", "corroborated").stdout
    lines = terminal.run("claims", "--flag", "single_origin", "--flag", "declared", "--json").stdout.splitlines()
    assert len(lines) == 2
    wrong = terminal.run("claims", "--state", "nonsense")
    assert (wrong.returncode, len(wrong.stderr.splitlines())) == (1, 1)
    again = terminal.run("load", "samples/il76.json")
    assert "0 of 99 parts were new" in again.stdout
    stop(process)


def test_two_services_on_one_home_are_refused(terminal: Terminal) -> None:
    """The second says who is there, in one line."""
    process, _ = terminal.start("serve")
    second = terminal.run("serve")
    assert second.returncode == 1
    assert f"onrecord: another On Record runs on {terminal.home}\n" == second.stderr
    stop(process)


def test_a_port_that_is_taken_is_one_clear_line(terminal: Terminal) -> None:
    """The service ends, and says which address it could not listen on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", terminal.port))
        listener.listen()
        refused = terminal.run("serve")
    assert refused.returncode == 1
    assert f"onrecord: the API cannot listen on 127.0.0.1:{terminal.port}" in refused.stderr
    assert "ONRECORD_PORT names another port" in refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"ONRECORD_PORT": "many"}, "ONRECORD_PORT='many'"),
        ({"ONRECORD_PROT": "1"}, "ONRECORD_PROT is no setting of On Record"),
        ({"ONRECORD_LEDGER": "No Spaces"}, "ONRECORD_LEDGER='No Spaces'"),
        ({"ONRECORD_STORE_URL": "http://example.org"}, "ONRECORD_STORE_URL"),
        ({"ONRECORD_STORE_URL": "redis://127.0.0.1:1/0"}, "the store does not answer"),
    ],
)
def test_a_bad_setting_or_an_absent_store_is_one_clear_line(
    terminal: Terminal, environment: dict[str, str], said: str
) -> None:
    """Every command names the setting, or says that the store is away, and shows no traceback."""
    for command in ("api", "worker", "serve"):
        refused = terminal.run(command, **environment)
        assert refused.returncode in {1, 2}
        assert said in refused.stderr
        assert len(refused.stderr.splitlines()) == 1, refused.stderr


def test_a_bad_story_file_names_the_part_that_is_wrong(terminal: Terminal, tmp_path: Path) -> None:
    """What is before the bad part is not recorded either, because the file is checked first."""
    bad = tmp_path / "bad.json"
    bad.write_text(
        '{"story": {"key": "bad", "title": "Bad"}, "sources": [{"key": "one", "name": "One", "kind": "king"}]}'
    )
    process, _ = terminal.start("serve")
    refused = terminal.run("load", str(bad))
    assert refused.returncode == 1
    assert "onrecord: sources/one: Invalid enum value 'king'" in refused.stderr
    assert len(terminal.run("events").stdout.splitlines()) == 1
    missing = terminal.run("load", str(tmp_path / "none.json"))
    assert "No such file" in missing.stderr
    stop(process)


def test_help_reads_well(terminal: Terminal) -> None:
    """Help names every command with what it does."""
    shown = terminal.run("--help").stdout
    for command in ("serve", "api", "worker", "load", "claims", "events"):
        assert re.search(rf"{command}\s+\S+", shown)
    assert "Ctrl-C" in shown


def test_a_home_that_cannot_be_used_is_one_clear_line(terminal: Terminal, tmp_path: Path) -> None:
    """A home that is a file is named, with what the system says of it, and there is no traceback."""
    here = tmp_path / "file"
    here.touch()
    served = terminal.run("serve", ONRECORD_HOME=str(here))
    assert (served.returncode, served.stderr) == (1, f"onrecord: {here}: File exists\n")


@pytest.mark.parametrize("words", [("api",), ("worker",), ("ready",), ("ledgers", "list"), ("claims",)])
def test_where_nothing_runs_the_command_that_starts_it_is_named(terminal: Terminal, words: tuple[str, ...]) -> None:
    """Who gives another command first learns which one starts the store."""
    done = terminal.run(*words)
    assert done.returncode == 1
    assert "onrecord serve" in done.stderr


def test_an_interrupt_while_it_is_being_imported_leaves_no_traceback() -> None:
    """Ctrl-C in the first second, in which the command line is still being imported, ends it in silence."""
    script = """
import sys
class Interrupted:
    def find_spec(self, name, *_):
        if name == "service.cli":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
from service.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=_BOUND, check=False)  # noqa: S603 - our own
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")


async def test_a_story_that_was_loaded_in_part_says_how_the_rest_is_loaded(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    """Interrupted, loading names the command that goes on with it; that finds the first part on record."""
    service, _ = terminal.start("serve")
    settings = Settings(home=str(terminal.home))
    loading = asyncio.create_task(load_story(settings, ROOT / "samples/il76.json"))
    async with checked_store(with_store(settings)) as store:
        ledger = await Ledger.open(store)
        async with asyncio.timeout(_BOUND), contextlib.aclosing(ledger.tail(1)) as tail:
            async for entries in tail:
                if entries:
                    break
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert f"`onrecord load {ROOT}/samples/il76.json` loads the rest" in " ".join(capsys.readouterr().out.split())
    rest = terminal.run("load", "samples/il76.json")
    assert re.search(r"^[1-9]\d? of 99 parts were new", rest.stdout, re.MULTILINE)
    assert "99 of 99" not in rest.stdout
    stop(service)


def test_help_of_a_command_shows_its_arguments_as_they_are_given(terminal: Terminal) -> None:
    """What is given without a name is shown, and asked for, without one."""
    assert "--file" not in terminal.run("load", "--help").stdout
    assert "parameter FILE requires" in terminal.run("load").stderr
    assert "--empty" not in terminal.run("claims", "--help").stdout
