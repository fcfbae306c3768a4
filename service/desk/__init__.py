"""The desk's way in and out: files of others become statements on record, and the record becomes a file."""
