"""What the vault promises: what is sealed is opened with its own key only, and never again once that is deleted."""

import asyncio
import base64
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

import events.store
from events import keys
from events.confidential import ConfidentialSource
from events.identifiers import new_id
from events.store import Store
from events.words import Sealed
from service.auth import secret_key, vault
from service.auth.secret_key import SecretKeyUnusable
from service.auth.vault import Erased, Unopened, Vault

SECRET = "00" * 32
SAID = ConfidentialSource(identity="Zebulon Quagmire")


@pytest.fixture
def subject() -> str:
    """The identifier of a source."""
    return new_id("source")


async def opened(store: Store, ledger: str, secret: str = SECRET) -> Vault:
    """Open a ledger's vault as a process that starts now does."""
    return await vault.opened(store, ledger, secret, Path("/nowhere/secret.key"))


@pytest.fixture
async def here(store: Store, ledger_name: str) -> Vault:
    """The vault of a ledger."""
    return await opened(store, ledger_name)


@pytest.fixture
async def elsewhere(store_url: str, ledger_name: str) -> AsyncIterator[Vault]:
    """The same vault in another process."""
    async with contextlib.aclosing(events.store.connect(store_url)) as store:
        yield await opened(store, ledger_name)


async def read(vault: Vault, sealed: Sealed) -> object:
    """Return what a sealed value holds, or why it cannot be opened."""
    found = (await vault.open([sealed]))[sealed]
    return msgspec.json.decode(found, type=ConfidentialSource) if isinstance(found, bytes) else type(found)


async def test_what_one_process_seals_another_opens(here: Vault, elsewhere: Vault, subject: str) -> None:
    """The key is in the store; whoever has the secret key opens what was sealed under it."""
    sealed = await here.seal(subject, SAID)
    assert await read(elsewhere, sealed) == SAID
    assert await read(here, await elsewhere.seal(subject, SAID)) == SAID


async def test_two_processes_make_one_key(here: Vault, elsewhere: Vault, subject: str) -> None:
    """The first values of a subject, sealed at once by several processes, can all be opened."""
    sealed = await asyncio.gather(*(each.seal(subject, SAID) for each in (here, elsewhere) * 5))
    assert [await read(here, each) for each in sealed] == [SAID] * 10


async def test_the_same_words_are_never_sealed_alike_and_their_length_does_not_show(here: Vault, subject: str) -> None:
    """Nobody can compare two sealed values, nor tell a short name from a long one."""
    one, other = await here.seal(subject, SAID), await here.seal(subject, SAID)
    assert one.ct != other.ct
    longer = await here.seal(subject, ConfidentialSource(identity="Zebulon Maria Quagmire-Featherstonehaugh"))
    assert len(one.ct) == len(longer.ct)


@pytest.mark.parametrize("size", [1, 100, 127, 128, 129, 10_000])
async def test_every_length_comes_back(here: Vault, subject: str, size: int) -> None:
    """Whatever is added to hide a length is taken off again, and blanks that belong to a text are not."""
    said = ConfidentialSource(note="x" * (size - 1) + " ")
    sealed = await here.seal(subject, said)
    assert said == await read(here, sealed)
    msgspec.convert(msgspec.to_builtins(sealed), Sealed)


@pytest.mark.parametrize("member", ["nonce", "ct"])
async def test_a_changed_value_is_not_opened(here: Vault, subject: str, member: str) -> None:
    """One bit is enough."""
    sealed = await here.seal(subject, SAID)
    changed = bytearray(base64.b64decode(getattr(sealed, member)))
    changed[0] ^= 1
    wrong = msgspec.structs.replace(sealed, **{member: base64.b64encode(changed).decode()})
    assert Unopened is await read(here, wrong)
    assert Unopened is await read(here, msgspec.structs.replace(sealed, **{member: "no base64 at all"}))


async def test_a_value_of_one_subject_is_not_opened_for_another(here: Vault, store: Store, subject: str) -> None:
    """Neither by naming the other one, nor by putting its wrapped key in the other one's place."""
    other = new_id("source")
    sealed, _ = await here.seal(subject, SAID), await here.seal(other, SAID)
    assert Unopened is await read(here, msgspec.structs.replace(sealed, kid=other))
    third = new_id("source")
    await store.set(keys.vault(here._ledger, third), await store.get(keys.vault(here._ledger, subject)))
    assert Unopened is await read(here, msgspec.structs.replace(sealed, kid=third))


async def test_a_value_of_one_ledger_is_not_opened_in_another(
    here: Vault, store: Store, ledger_name: str, subject: str
) -> None:
    """Not even with its wrapped key and under the same secret key."""
    sealed = await here.seal(subject, SAID)
    other = await opened(store, f"{ledger_name}-2")
    assert Unopened is await read(other, sealed)
    await store.set(keys.vault(other._ledger, subject), await store.get(keys.vault(ledger_name, subject)))
    assert Unopened is await read(other, sealed)


async def test_the_store_alone_opens_nothing(here: Vault, store: Store, ledger_name: str, subject: str) -> None:
    """Everything that is kept of a subject, put under another secret key, stays closed."""
    sealed = await here.seal(subject, SAID)
    thief = Vault(store, ledger_name, secret_key.derived(b"1" * 32, ledger_name))
    assert Unopened is await read(thief, sealed)


async def test_another_secret_key_is_refused(here: Vault, store: Store, ledger_name: str, tmp_path: Path) -> None:
    """A process with the wrong one, or with none, does not start; it is told which, and no key is in the message."""
    with pytest.raises(SecretKeyUnusable, match="ONRECORD_SECRET_KEY is not the secret key that the vault"):
        await opened(store, ledger_name, "11" * 32)
    absent = tmp_path / "secret.key"
    with pytest.raises(SecretKeyUnusable, match=rf"is not here: give it in ONRECORD_SECRET_KEY or in {absent}"):
        await vault.opened(store, ledger_name, "", absent)
    assert not absent.exists()
    absent.write_text("11" * 32)
    with pytest.raises(SecretKeyUnusable, match=f"{absent} is not the secret key"):
        await vault.opened(store, ledger_name, "", absent)


async def test_an_erased_subject_is_closed_for_ever(
    here: Vault, elsewhere: Vault, store: Store, ledger_name: str, subject: str
) -> None:
    """At once where it was erased; nothing can be sealed for it anywhere, not even its first value."""
    sealed = await here.seal(subject, SAID)
    await here.erase(subject)
    assert Erased is await read(here, sealed)
    assert Erased is await read(await opened(store, ledger_name), sealed)
    for each in (here, elsewhere):
        with pytest.raises(Erased):
            await each.seal(subject, SAID)
    await here.erase(unknown := new_id("person"))
    with pytest.raises(Erased):
        await elsewhere.seal(unknown, SAID)


async def test_a_process_forgets_what_another_one_erased(
    here: Vault, elsewhere: Vault, subject: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it knows of a key it believes for a bounded time, and after that asks again."""
    sealed = await here.seal(subject, SAID)
    assert await read(elsewhere, sealed) == SAID
    until = elsewhere._known[subject][0]
    await here.erase(subject)
    monkeypatch.setattr(vault.time, "monotonic", lambda: until)
    assert Erased is await read(elsewhere, sealed)


async def test_erasing_again_deletes_a_key_that_came_back(
    here: Vault, store: Store, ledger_name: str, subject: str
) -> None:
    """After a backup of the store was put back, it is enough to erase again."""
    sealed = await here.seal(subject, SAID)
    name = keys.vault(ledger_name, subject)
    wrapped = await store.get(name)
    await here.erase(subject)
    await store.set(name, wrapped)
    assert await read(await opened(store, ledger_name), sealed) == SAID
    await here.erase(subject)
    assert Erased is await read(await opened(store, ledger_name), sealed)


async def test_a_value_without_a_key_says_so(here: Vault, store: Store, ledger_name: str, subject: str) -> None:
    """A lost vault is not mistaken for an erasure."""
    sealed = await here.seal(subject, SAID)
    await store.delete(keys.vault(ledger_name, subject))
    assert Unopened is await read(here, sealed)
    assert not await here.knows(subject)
