"""Scopes: what a key or a token may do. None implies another."""

from enum import StrEnum


class Scope(StrEnum):
    """One thing that the bearer of a key may do. Every route that is not public wants one."""

    READ = "read"
    """Reads what is on record, the log itself included, but for what was said in confidence."""
    READ_CONFIDENTIAL = "read:confidential"
    """Opens what was said in confidence, where ``read`` shows the rest."""
    RECORD = "record"
    """Records what sources said and what was found, and amends it."""
    ASSESS = "assess"
    """Judges for the desk: assessments, their revocation, grades of sources, authentication of evidence."""
    AUDIT = "audit"
    """Reads the entries of the transparency log."""
    WEBHOOKS = "webhooks"
    """Manages webhooks."""
    ADMIN = "admin"
    """Administers: keys, policies, projections, and erasing, which cannot be undone."""


ORDINARY = frozenset({Scope.READ, Scope.RECORD, Scope.ASSESS})
"""What a desk needs from day to day."""
EVERY = frozenset(Scope)
