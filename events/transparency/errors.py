"""What can be wrong with a part of a transparency log. Every message says what and, where it is known, where."""


class TransparencyError(Exception):
    """The root of this package's errors."""


class BadNote(TransparencyError):
    """Bytes that are no signed note, a note that no known key signed, or text that is no key."""


class BadCheckpoint(TransparencyError):
    """A note whose text is no checkpoint."""


class BadTile(TransparencyError):
    """Bytes that are no tile or bundle, or a path that names none."""


class BadProof(TransparencyError):
    """A proof that does not show what it should, or that cannot be made."""
