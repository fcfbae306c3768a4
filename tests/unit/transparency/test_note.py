"""Signed notes, checkpoints, cosignatures and proofs to keep, by the examples of their specifications and by damage."""

import pytest

from events.transparency.checkpoint import Checkpoint, opened
from events.transparency.errors import BadCheckpoint, BadNote, BadProof, TransparencyError
from events.transparency.hashing import EMPTY_ROOT, leaf_hash, root_of
from events.transparency.note import COSIGNATURE, Note, SigningKey, VerifierKey, encoded, timestamp_of
from events.transparency.proofs import inclusion_path, proof
from events.transparency.tlog_proof import TlogProof

SPECIFIED = VerifierKey.parse("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
SPECIFIED_NOTE = (
    "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZX"
    "sYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
LOG = SigningKey("example.com/log", b"1" * 32)
OTHER = SigningKey("example.com/log", b"2" * 32)
WITNESS = SigningKey("witness.example/w1", b"3" * 32, COSIGNATURE)
ROOT = leaf_hash(b"the only one")
CHECKPOINT = Checkpoint("example.com/log", 1, ROOT)


def test_the_example_of_the_specification_verifies() -> None:
    """The key and the note of C2SP signed-note are read, verified and written as they are there."""
    note = Note.parse(SPECIFIED_NOTE)
    assert note.verify([SPECIFIED]) == [SPECIFIED]
    assert bytes(note) == SPECIFIED_NOTE
    assert str(SPECIFIED) == "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"


def test_no_byte_of_a_checkpoint_can_be_changed() -> None:
    """Each of its bytes, with each of some changes, makes it no checkpoint that the key signed."""
    raw = CHECKPOINT.signed([LOG])
    assert opened(raw, [LOG.verifier]) == CHECKPOINT
    for n in range(len(raw)):
        for changed in {raw[n] ^ 1, raw[n] ^ 0x20, raw[n] ^ 0x80, 10, 32}.difference([raw[n]]):
            with pytest.raises(TransparencyError):
                opened(raw[:n] + bytes([changed]) + raw[n + 1 :], [LOG.verifier])
    for n in range(len(raw)):
        with pytest.raises(TransparencyError):
            opened(raw[:n], [LOG.verifier])


def test_a_key_is_read_as_it_was_written() -> None:
    """A signing key survives being written, and is the key it was."""
    key = SigningKey.generate("example.com/log")
    again = SigningKey.parse(key.written())
    assert key.verifier == again.verifier == VerifierKey.parse(str(key.verifier))
    assert key.sign("a\n") == again.sign("a\n")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "example.com/foo",
        "example.com/foo+530d903a",
        "example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/fo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2",
        "example.com/foo+530d903a+AOkyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
        "a b+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    """A verifier key has a name, its own id, and 32 bytes of a known type."""
    with pytest.raises(BadNote):
        VerifierKey.parse(text)
    with pytest.raises(BadNote):
        SigningKey.parse("PRIVATE+KEY+" + text)


def test_a_secret_is_in_no_message() -> None:
    """A signing key that cannot be read is not repeated."""
    written = LOG.written()
    with pytest.raises(BadNote) as caught:
        SigningKey.parse(written[:-4])
    assert written[-20:-4] not in str(caught.value)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"text\n",
        b"text\n\n",
        b"text\n\nno dash\n",
        "text\n\n— name AAAAAA==\n".encode()[:-1],
        "text\n\n— name\n".encode(),
        "text\n\n— name AAAA\n".encode(),
        "text\n\n— name AAAAAAB=\n".encode(),
        "text\n\n— na+me AAAAAAA=\n".encode(),
        "te\rxt\n\n— name AAAAAAA=\n".encode(),
        b"\xff\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"x" * 2_000_000,
        ("text\n\n" + "— name AAAAAAA=\n" * 65).encode(),
    ],
)
def test_what_is_no_note_is_refused(raw: bytes) -> None:
    """Notes are UTF-8 without control characters, and their signatures are base64 in its one form."""
    with pytest.raises(BadNote):
        Note.parse(raw)


def test_a_note_may_have_many_signatures_and_those_of_strangers_are_passed_over() -> None:
    """It verifies by every known key that signed it, and by none if only strangers did."""
    raw = CHECKPOINT.signed([LOG, OTHER, *(SigningKey.generate(f"x{n}.example") for n in range(14))])
    note = Note.parse(raw)
    assert len(note.signatures) == 16
    assert [LOG.verifier, OTHER.verifier] == note.verify([LOG.verifier, OTHER.verifier])
    assert [OTHER.verifier] == note.verify([OTHER.verifier, SPECIFIED])
    with pytest.raises(BadNote, match=r"by none of example.com/foo \(530d903a\)"):
        note.verify([SPECIFIED])


def test_one_bad_signature_by_a_known_key_spoils_the_note() -> None:
    """Who says to be a known key and is not makes the whole note bad, whatever else is right."""
    good, bad = LOG.sign(CHECKPOINT.text), LOG.sign("another\n")
    with pytest.raises(BadNote, match="is not one of this text"):
        Note(CHECKPOINT.text, (good, bad)).verify([LOG.verifier])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "log\n1\n",
        f"log\n01\n{encoded(ROOT)}\n",
        f"log\n-1\n{encoded(ROOT)}\n",
        f"log\n1\n{encoded(ROOT)[:-4]}\n",
        f"log\n1\n{encoded(ROOT)}",
        f"\n1\n{encoded(ROOT)}\n",
        f"log\n1\n{encoded(ROOT)}\n\n",
        f"log\n0\n{encoded(ROOT)}\n",
        f"log\n1\n{encoded(ROOT)[:-2]}9=\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    """A checkpoint has an origin, a size without leading zeroes, and a hash, a line each."""
    with pytest.raises(BadCheckpoint):
        Checkpoint.parse(text)


def test_lines_that_a_checkpoint_may_have_besides_are_passed_over() -> None:
    """They are signed, and say nothing to us; the tree without leaves has a checkpoint too."""
    assert Checkpoint.parse(CHECKPOINT.text + "more\n") == CHECKPOINT
    assert Checkpoint("log", 0, EMPTY_ROOT) == Checkpoint.parse(Checkpoint("log", 0, EMPTY_ROOT).text)


def test_a_key_speaks_only_for_the_log_of_its_name() -> None:
    """A checkpoint of another origin is none of this log's, though its key signed it."""
    text = Checkpoint("example.com/other", 1, ROOT).text
    with pytest.raises(BadCheckpoint, match="signed a checkpoint of"):
        opened(bytes(Note(text, (LOG.sign(text),))), [LOG.verifier])


def test_a_cosignature_is_of_a_time() -> None:
    """A witness says when it saw the checkpoint; the time cannot be changed, nor the signature used as another kind."""
    signature = WITNESS.sign(CHECKPOINT.text, 1679315147)
    assert timestamp_of(signature.signature) == 1679315147
    WITNESS.verifier.verify(CHECKPOINT.text, signature.signature)
    later = (1679315148).to_bytes(8, "big") + signature.signature[8:]
    with pytest.raises(BadNote):
        WITNESS.verifier.verify(CHECKPOINT.text, later)
    plain = VerifierKey(WITNESS.verifier.name, 1, WITNESS.verifier.public)
    assert plain.key_id != WITNESS.verifier.key_id
    with pytest.raises(BadNote):
        plain.verify(CHECKPOINT.text, signature.signature)


def test_the_cosignature_of_the_specification_is_read() -> None:
    """The line of a witness in C2SP tlog-cosignature has a type of its own and its time."""
    raw = (
        "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n"
        "— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+"
        "zyWE+xeMcTOAYQ8=\n— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJs"
        "X3b2oyin"
        "1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n"
    )
    note = Note.parse(raw.encode())
    assert timestamp_of(note.signatures[1].signature) == 1679315147
    assert Checkpoint.parse(note.text).size == 20852163
    assert raw.encode() == bytes(note)


def test_a_proof_to_keep_is_read_and_verified() -> None:
    """It has all that is needed beside the leaf and the log's key, and says so line by line."""
    leaves = [leaf_hash(b"%d" % n) for n in range(5)]
    hashes = proof(inclusion_path(3, 5), lambda node: root_of(leaves[node.index << node.level :][: 1 << node.level]))
    checkpoint = Checkpoint("example.com/log", 5, root_of(leaves))
    kept = TlogProof(3, tuple(hashes), checkpoint.signed([LOG]), extra=b"more")
    raw = bytes(kept)
    assert raw.startswith(b"c2sp.org/tlog-proof@v1\nextra bW9yZQ==\nindex 3\n")
    assert kept == TlogProof.parse(raw)
    assert checkpoint == kept.verify(leaves[3], [LOG.verifier])
    with pytest.raises(BadProof):
        kept.verify(leaves[2], [LOG.verifier])
    with pytest.raises(BadNote):
        kept.verify(leaves[3], [OTHER.verifier])
    alone = TlogProof(0, (), CHECKPOINT.signed([LOG]))
    assert TlogProof.parse(bytes(alone)).verify(ROOT, [LOG.verifier]) == CHECKPOINT


@pytest.mark.parametrize(
    "above",
    [
        "",
        "c2sp.org/tlog-proof@v2\nindex 0\n",
        "c2sp.org/tlog-proof@v1\n",
        "c2sp.org/tlog-proof@v1\nindex 00\n",
        "c2sp.org/tlog-proof@v1\nindex 0\nAAAA\n",
        "c2sp.org/tlog-proof@v1\nextra !\nindex 0\n",
        "c2sp.org/tlog-proof@v1\nindex -1\n",
        f"c2sp.org/tlog-proof@v1\n{encoded(ROOT)}\nindex 1\n",
    ],
)
def test_what_is_no_proof_is_refused(above: str) -> None:
    """Its lines are as the specification has them, in that order."""
    with pytest.raises(BadProof):
        TlogProof.parse(f"{above}\n".encode() + CHECKPOINT.signed([LOG]))
