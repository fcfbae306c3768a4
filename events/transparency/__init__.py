"""The transparency log, as bytes and hashes: RFC 6962 trees, and C2SP notes, checkpoints, tiles and proofs.

Pure: nothing here reads a file, a store or a clock. Where things are kept is :mod:`service.audit`'s.
"""
