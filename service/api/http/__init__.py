"""How the API speaks HTTP: problems, bodies, idempotency, preconditions, pages."""
