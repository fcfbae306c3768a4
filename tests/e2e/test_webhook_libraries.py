"""What is sent is verified by the library that receivers in JavaScript have: ``standardwebhooks`` from npm.

It takes node and npm, and npm's registry. ``ONRECORD_TEST_REQUIRE_NODE=1`` makes it a failure if they are not there.
"""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from service.webhooks import messages, signing
from service.webhooks.kept import Kept, Secret
from service.webhooks.messages import Message

_LIBRARY = "standardwebhooks@1.1.1"
_VERIFY = """
const { Webhook } = require("standardwebhooks");
const crypto = require("crypto");
const { headers, secret, key, body } = JSON.parse(require("fs").readFileSync(0));
const bytes = Buffer.from(body, "base64");
const event = new Webhook(secret).verify(bytes.toString(), headers);
const der = Buffer.concat([Buffer.from("302a300506032b6570032100", "hex"), Buffer.from(key.slice(5), "base64")]);
const ours = crypto.createPublicKey({ key: der, format: "der", type: "spki" });
const signed = Buffer.concat([Buffer.from(`${headers["webhook-id"]}.${headers["webhook-timestamp"]}.`), bytes]);
const signature = headers["webhook-signature"].split(" ").find((each) => each.startsWith("v1a,")).slice(4);
const asymmetric = crypto.verify(null, signed, ours, Buffer.from(signature, "base64"));
console.log(JSON.stringify({ event, asymmetric }));
"""
_EVENT = {"type": "claim.state_changed", "data": {"text": "Über die Brücke: контакт 🛩"}}
_BODY = json.dumps(_EVENT, ensure_ascii=False).encode()


@pytest.fixture(scope="session")
def script(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A script that verifies a message, beside the library."""
    folder = tmp_path_factory.mktemp("node")
    why = "there is no node or no npm" if not (shutil.which("node") and shutil.which("npm")) else ""
    if not why:
        install = ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", _LIBRARY]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603
        why = f"npm does not install {_LIBRARY}: {done.stderr[-500:]}" if done.returncode else ""
    if why:
        assert os.environ.get("ONRECORD_TEST_REQUIRE_NODE") != "1", why
        pytest.skip(why)
    (folder / "verify.js").write_text(_VERIFY)
    return folder / "verify.js"


def verified(
    script: Path, headers: Mapping[str, str], secret: str, key: Ed25519PrivateKey, body: bytes = _BODY
) -> subprocess.CompletedProcess[str]:
    """Let the library verify a message."""
    said = {
        "headers": headers,
        "secret": secret,
        "key": signing.public_key(key),
        "body": base64.b64encode(body).decode(),
    }
    return subprocess.run(  # noqa: S603
        ["node", str(script)],  # noqa: S607
        input=json.dumps(said),
        cwd=script.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.timeout(240)
def test_the_library_for_javascript_takes_what_is_sent(script: Path) -> None:
    """It verifies with the new secret and with the old one, node verifies ``v1a``, and what was changed is refused."""
    old, new, key = signing.new_secret(), signing.new_secret(), Ed25519PrivateKey.generate()
    kept = Kept("https://example.com/", {}, (Secret(new), Secret(old, "2999-01-01T00:00:00.000000Z")))
    headers = messages.headers(Message("018f-1", _BODY, messages.CLOUDEVENT), kept, key)
    for secret in (new, old):
        done = verified(script, headers, secret, key)
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == {"event": _EVENT, "asymmetric": True}
    changed = verified(script, headers, new, key, _BODY.replace(b"data", b"Data"))
    assert changed.returncode != 0
    assert "WebhookVerificationError" in changed.stderr
    other = verified(script, headers, signing.new_secret(), key)
    assert "WebhookVerificationError" in other.stderr
