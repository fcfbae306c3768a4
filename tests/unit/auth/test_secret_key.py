"""The secret key: how it is given, how its file is made, and that it never shows."""

import base64
import re
from pathlib import Path

import pytest

from service.auth import secret_key
from service.auth.secret_key import SecretKeyUnusable

KEY = bytes(range(32))


@pytest.mark.parametrize("text", [KEY.hex(), KEY.hex().upper(), base64.b64encode(KEY).decode()])
def test_it_is_given_in_hexadecimal_or_base64(text: str, tmp_path: Path) -> None:
    """In the setting, or in the file with a line's end."""
    assert secret_key.given(text, tmp_path / "none") == KEY
    (tmp_path / "secret.key").write_text(text + "\n")
    assert secret_key.given("", tmp_path / "secret.key") == KEY


@pytest.mark.parametrize("text", ["hunter2", "00" * 31, "00" * 33, base64.b64encode(KEY[:31]).decode(), "é" * 32])
def test_anything_else_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    """The message names where it was given, not what."""
    (tmp_path / "secret.key").write_text(text)
    for setting in (text, ""):
        where = "ONRECORD_SECRET_KEY" if setting else re.escape(str(tmp_path / "secret.key"))
        with pytest.raises(SecretKeyUnusable, match=f"^{where} is no secret key") as refused:
            secret_key.given(setting, tmp_path / "secret.key")
        assert text not in str(refused.value)


def test_a_file_that_is_not_there_is_no_error_and_one_that_is_empty_is(tmp_path: Path) -> None:
    """Only what is absent may be made anew."""
    path = tmp_path / "secret.key"
    assert secret_key.given("", path) is None
    path.touch()
    with pytest.raises(SecretKeyUnusable):
        secret_key.given("", path)


def test_it_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    """Whoever comes second gets the first one's, and no draft is left."""
    path = tmp_path / "home" / "secret.key"
    made = secret_key.made(path)
    assert made == secret_key.made(path) == secret_key.given("", path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(path.parent.iterdir())


def test_each_ledger_and_each_use_has_a_key_of_its_own() -> None:
    """No key that is derived tells anything about another, and none shows when it is printed."""
    derived = [secret_key.derived(KEY, ledger) for ledger in ("main", "other")]
    assert len({key for each in derived for key in (each.wrapping, each.hashing, each.check)}) == 6
    assert repr(derived[0]) == "SecretKey(…)"
