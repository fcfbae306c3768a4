"""On Record in containers, as an operator has it: built, brought up, loaded, its store restarted, and stopped."""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn
from uuid import uuid4

import httpx2
import pytest

from events.identifiers import derived_id

ROOT = Path(__file__).parent.parent.parent
_BASES = ("python:3.13-slim", "valkey/valkey:9.1")
_HEALTHY_WITHIN = 120

pytestmark = [pytest.mark.docker, pytest.mark.timeout(900)]  # the first time, images are pulled and built


def _tried(*command: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"ONRECORD_PORT": "0"}  # a free one
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - ours


def _run(*command: str) -> str:
    """Return what a command prints, its last line ending removed; what it cannot do fails the test."""
    done = _tried(*command)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout.rstrip("\n")


def _missing(what: str) -> NoReturn:
    if os.environ.get("ONRECORD_TEST_REQUIRE_DOCKER") == "1":
        pytest.fail(what)
    pytest.skip(what)


@pytest.fixture(scope="module")
def docker() -> str:
    """The Docker command, once an engine has answered it and the base images are there."""
    command = shutil.which("docker")
    if command is None or _tried(command, "info").returncode:
        _missing("no Docker engine answers")
    for base in _BASES:
        if _tried(command, "image", "inspect", base).returncode and _tried(command, "pull", base).returncode:
            _missing(f"the image {base} is not here and cannot be pulled")
    return command


@pytest.fixture(scope="module")
def image(docker: str) -> str:
    """The name of the image, built from this tree; two processes of the suite do not build it at once."""
    with (Path(tempfile.gettempdir()) / f"onrecord-build-{os.getuid()}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _run(docker, "build", "--network", "host", "--tag", "onrecord", ".")
    return "onrecord"


def _not_healthy(docker: str, those: str, called: str, wanted: set[str], since: float) -> set[str]:
    """Wait, but not for ever, until each wanted container was found healthy after ``since``; return which was not.

    Containers are those that a filter of `docker events` leaves; ``called`` is the attribute that holds their name.
    """
    waiting = set(wanted)
    command = [docker, "events", "--since", f"{since:.3f}", "--until", f"{since + _HEALTHY_WITHIN:.3f}"]
    command += ["--filter", those, "--filter", "event=health_status: healthy"]
    command += ["--format", f'{{{{index .Actor.Attributes "{called}"}}}}']
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as events:  # noqa: S603 - ours
        assert events.stdout
        for line in events.stdout:
            waiting.discard(line.strip())
            if not waiting:
                events.terminate()
                break
    return waiting


class Project:
    """The services of docker-compose.yml under a name that nothing else uses."""

    def __init__(self, docker: str, compose: tuple[str, ...]) -> None:
        self.name = f"onrecord-test-{uuid4().hex[:12]}"
        self._docker = docker
        self._compose = (*compose, "--project-name", self.name)

    def do(self, *words: str) -> str:
        """Return what a command of compose prints."""
        return _run(*self._compose, *words)

    def leave(self) -> set[str]:
        """Remove everything, and return what is left all the same."""
        self.do("down", "--volumes", "--remove-orphans", "--timeout", "20")
        mine = ("--quiet", "--filter", f"label=com.docker.compose.project={self.name}")
        kinds = (("ps", "--all"), ("volume", "ls"), ("network", "ls"))
        return {line for kind in kinds for line in _run(self._docker, *kind, *mine).splitlines()}

    def wait_until_healthy(self, *services: str, since: float) -> None:
        """Return once each of the services was found healthy after ``since``."""
        label = "com.docker.compose.{}"
        mine = f"label={label.format('project')}={self.name}"
        waiting = _not_healthy(self._docker, mine, label.format("service"), set(services), since)
        assert set() == waiting, self.do("logs", "--no-color")

    def address(self) -> str:
        """Return where the API's port is published, as in ``127.0.0.1:32768``."""
        return _run(self._docker, "port", self.do("ps", "--quiet", "api"), "8181")

    def exit_codes(self) -> dict[str, int]:
        """Return the exit code of each service's container."""
        containers = json.loads(_run(self._docker, "inspect", *self.do("ps", "--all", "--quiet").split()))
        return {
            each["Config"]["Labels"]["com.docker.compose.service"]: each["State"]["ExitCode"] for each in containers
        }


@pytest.fixture
def project(docker: str, image: str) -> Iterator[Project]:
    """A project that is not up yet, and is gone at the end however the test went."""
    if _tried(docker, "compose", "version").returncode == 0:
        project = Project(docker, (docker, "compose"))
    elif command := shutil.which("docker-compose"):
        project = Project(docker, (command,))
    else:
        _missing("there is neither `docker compose` nor `docker-compose`")
    yield project
    project.leave()


def test_what_is_on_record_outlives_a_restart_of_the_store(project: Project) -> None:
    """The composed service answers on its published port, keeps all when its store restarts, and stops in order."""
    began = time.time()
    project.do("up", "--detach", "--no-build")
    project.wait_until_healthy("valkey", "api", "worker", since=began)
    assert "99 of 99 parts were new" in project.do("exec", "-T", "api", "onrecord", "load", "samples/il76.json")

    key = project.do("exec", "-T", "api", "cat", "/var/lib/onrecord/bootstrap.key")
    headers = {"Authorization": f"Bearer {key}"}
    with httpx2.Client(base_url=f"http://{project.address()}", headers=headers, timeout=30) as api:
        log = api.get("/v1/events", headers={"Accept": "application/x-ndjson"})
        claim_url = f"/v1/claims/{derived_id('claim', 'il76', 'civilians')}"
        claim = api.get(claim_url, headers={"Onrecord-After": log.headers["Onrecord-After"]})
        assert claim.status_code == 200, claim.text
        assert claim.json()["standing"]["state"] == "verified"
        assert project.do("exec", "-T", "api", "onrecord", "claims").startswith("28 claims")

        began = time.time()
        project.do("restart", "valkey")
        project.wait_until_healthy("valkey", since=began)
        assert log.content == api.get("/v1/events", headers={"Accept": "application/x-ndjson"}).content
        assert claim.content == api.get(claim_url).content

        opened = api.post("/v1/stories", json={"title": "After the restart"}, headers={"Idempotency-Key": "after"})
        assert opened.status_code == 201, opened.text
        after = {"Onrecord-After": opened.headers["Onrecord-After"]}  # such a read waits for the worker, then says 503
        reads = (api.get(opened.headers["Location"], headers=after) for _ in range(15))
        assert "After the restart" in next(read for read in reads if read.status_code != 503).text
    assert "0 of 99 parts were new" in project.do("exec", "-T", "api", "onrecord", "load", "samples/il76.json")

    project.do("stop")
    assert dict.fromkeys(("valkey", "api", "worker"), 0) == project.exit_codes()
    assert set() == project.leave()


def test_the_image_alone_serves_the_sample(docker: str, image: str) -> None:
    """Without compose, the image runs everything in one container, as a user without rights, and stops in order."""
    began, name = time.time(), f"onrecord-test-{uuid4().hex[:12]}"
    hardened = ("--init", "--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL")  # noqa: S108 - in the container
    _run(docker, "run", "--detach", "--name", name, *hardened, image, "serve", "--sample", "samples/il76.json")
    try:
        waiting = _not_healthy(docker, f"container={name}", "name", {name}, began)
        assert set() == waiting, _run(docker, "logs", name)
        assert _run(docker, "exec", name, "onrecord", "claims").startswith("28 claims")
        assert _run(docker, "exec", name, "id", "--user") != "0"
        _run(docker, "stop", "-t", "20", name)
        assert _run(docker, "inspect", "--format", "{{.State.ExitCode}}", name) == "0"
    finally:
        _run(docker, "rm", "--force", "--volumes", name)
