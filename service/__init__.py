"""The service over the ledger: verification, projections, the API, and what runs them."""
