"""What can be recorded, and the log it is recorded in.

Start with :mod:`events.catalog` (the words), then :mod:`events.ledger` (the log).
This package knows no web and no verification rule, and never imports ``service``.
"""
