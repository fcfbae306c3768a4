"""Webhooks: telling others what happened, over the ledger itself. Nothing is queued that the ledger does not hold."""
