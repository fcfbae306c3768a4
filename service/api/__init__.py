"""The REST API: one file a resource. Routes hold no rules."""
