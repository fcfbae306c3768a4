"""Signatures that libraries of others verify."""

import base64
import json
import time

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from standardwebhooks import Webhook, WebhookVerificationError

from service.webhooks.signing import NoSecret, new_secret, public_key, secret_bytes, signatures

BODY = json.dumps({"type": "claim.state_changed", "text": "Über die Brücke"}, ensure_ascii=False).encode()


def headers(*secrets: str, body: bytes = BODY, key: Ed25519PrivateKey | None = None) -> dict[str, str]:
    """Return the headers of a message."""
    at = int(time.time())
    signed = signatures("msg_1", at, body, map(secret_bytes, secrets), key)
    return {"webhook-id": "msg_1", "webhook-timestamp": str(at), "webhook-signature": signed}


def test_standardwebhooks_verifies_what_is_signed() -> None:
    """The reference library takes the signature, and not that of another body."""
    secret = new_secret()
    Webhook(secret).verify(BODY, headers(secret))
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(BODY + b" ", headers(secret))


def test_each_of_two_secrets_verifies_while_they_overlap() -> None:
    """A receiver that knows the old secret or the new one takes the message; one that knows neither does not."""
    old, new = new_secret(), new_secret()
    sent = headers(old, new)
    Webhook(old).verify(BODY, sent)
    Webhook(new).verify(BODY, sent)
    with pytest.raises(WebhookVerificationError):
        Webhook(new_secret()).verify(BODY, sent)


def test_the_asymmetric_signature_verifies_with_the_public_key() -> None:
    """``v1a`` is Ed25519 over identifier, timestamp and body, beside ``v1``."""
    secret, key = new_secret(), Ed25519PrivateKey.generate()
    sent = headers(secret, key=key)
    Webhook(secret).verify(BODY, sent)
    version, _, signature = sent["webhook-signature"].split(" ")[1].partition(",")
    assert version == "v1a"
    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(public_key(key).removeprefix("whpk_")))
    public.verify(base64.b64decode(signature), b"msg_1." + sent["webhook-timestamp"].encode() + b"." + BODY)


@pytest.mark.parametrize(
    "text", ["", "whsec_", "whsec_!!!", "whsec_" + "YQ==", base64.b64encode(bytes(32)).decode(), "whsec_" + "A" * 88]
)
def test_what_is_no_secret_is_refused_without_repeating_it(text: str) -> None:
    """A secret has its prefix and 24 to 64 bytes."""
    with pytest.raises(NoSecret) as refused:
        secret_bytes(text)
    assert not text or text == "whsec_" or text not in str(refused.value)
