"""Projections: documents and indexes that follow the ledger, each by a pure reducer, exactly once."""
