"""Audit: a ledger sealed into an archive that anybody can verify, and what was known when."""
