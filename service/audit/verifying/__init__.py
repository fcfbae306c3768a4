"""Verifying an archive with nothing but the log's public key: its tree, the record in it, and the states in that."""
