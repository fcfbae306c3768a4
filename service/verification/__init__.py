"""Where a claim stands, and why: pure functions from what is on record to a verdict.

Only :mod:`service.verification.commands` touches the ledger. Everything else can be read, tested and disputed
without a server.
"""
