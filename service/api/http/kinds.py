"""The kinds of problem: what each means and what to do about it, as the page at ``/problems/<slug>`` says."""

from msgspec import Struct


class Kind(Struct, frozen=True):
    """A kind of problem. ``means`` says what happened, ``advice`` what whoever asked can do."""

    slug: str
    status: int
    title: str
    means: str
    advice: str


_NOTHING = "Nothing was recorded."

KINDS = {
    kind.slug: kind
    for kind in (
        Kind(
            "bad-request",
            400,
            "The request is malformed",
            "A part of the request other than its body, such as a parameter or a header, cannot be read as what it has"
            " to be.",
            "Mend what the detail names, and send it again.",
        ),
        Kind(
            "not-json",
            400,
            "The body is not JSON",
            "The body was said to be JSON and cannot be read as that.",
            "Send one JSON object (RFC 8259) in UTF-8.",
        ),
        Kind(
            "bad-cursor",
            400,
            "The cursor is no cursor of this ledger",
            "A cursor or token, in `after`, `before`, `Onrecord-After` or `Last-Event-ID`, is malformed, lies beyond"
            " the end of the ledger, or is of a ledger that this one never was.",
            "Use a cursor exactly as an answer gave it; without one, reading begins at the beginning.",
        ),
        Kind(
            "unauthorized",
            401,
            "A valid API key is needed",
            "The request carries no API key, or one that is not known here: mistyped, expired or revoked.",
            "Send `Authorization: Bearer onrecord_…` with a key that `onrecord keys create` made.",
        ),
        Kind(
            "forbidden",
            403,
            "The key does not open this",
            "The key is known, and may not do this: it lacks a scope, or belongs to another ledger.",
            "Use a key of this ledger with the scope that the detail names.",
        ),
        Kind(
            "not-found",
            404,
            "There is no such thing",
            "Nothing is known under that path or identifier. Nothing is ever deleted, so it was never here.",
            "Check the path and the identifier, and that the key is of the ledger that has it.",
        ),
        Kind(
            "method-not-allowed",
            405,
            "The resource has no such method",
            "There is such a resource, but it cannot be asked for that.",
            "Use one of the methods that the `Allow` header names.",
        ),
        Kind(
            "not-acceptable",
            406,
            "It is not to be had in that form",
            "The `Accept` header leaves no media type in which this resource can be given.",
            "Accept one of the media types that the detail names, or send no `Accept` at all.",
        ),
        Kind(
            "request-timeout",
            408,
            "The request did not arrive in time",
            "The connection was open for long without a whole request coming over it, and was closed.",
            "Send the request again, with the same Idempotency-Key if it records something.",
        ),
        Kind(
            "already-recorded",
            409,
            "It is on record already",
            "What the request would record is on record, or it changes nothing. It was not recorded again.",
            "Nothing: it is so. If you meant something else, say something else.",
        ),
        Kind(
            "too-much-contention",
            409,
            "Others were quicker each time",
            f"Others changed the same thing at every attempt to decide on it. {_NOTHING}",
            "Send it again after a moment.",
        ),
        Kind(
            "last-administrator",
            409,
            "It is the last key that administers",
            "The key is the only one in force of its ledger that has the scope `admin`. It was not revoked.",
            "Make another key with that scope first. Whoever has the store can revoke it all the same:"
            " `onrecord keys revoke`.",
        ),
        Kind(
            "too-many-keys",
            409,
            "The ledger has as many keys as it may have",
            "Keys that were revoked or have expired count for ninety days more. No key was made.",
            "Use a key that there is, or make fewer, for longer.",
        ),
        Kind(
            "cursor-passed",
            410,
            "The ledger was restored since that cursor",
            "The cursor is of an epoch before a restore. What was recorded up to `resume_after` is as you know it; what"
            " you may have read after that is not on record.",
            "Forget what came after `resume_after`, and go on from that cursor.",
        ),
        Kind(
            "receipt-void",
            410,
            "The event of the receipt is not on record",
            "The event at that position is another one than that of the receipt. It was lost before it was sealed, and"
            " the ledger was restored without it.",
            "Record it again.",
        ),
        Kind(
            "version-mismatch",
            412,
            "It has moved on",
            f"The thing is not at the version that `If-Match` names: somebody changed it since you read it. {_NOTHING}",
            "Read it again, decide again, and send the new ETag.",
        ),
        Kind(
            "too-large",
            413,
            "The body or the event is too large",
            f"The body, or an event that it would make, is larger than an event may be. {_NOTHING}",
            "Keep a request under 60 KiB; link to documents instead of sending them.",
        ),
        Kind(
            "uri-too-long",
            414,
            "The request target is too long",
            "Path and query together have more than 8 KiB.",
            "Ask for less at once: fewer filters, one cursor.",
        ),
        Kind(
            "unsupported-media-type",
            415,
            "The body is of another type",
            "The body is not said to be JSON, or is encoded.",
            "Send the body as it is, with `Content-Type: application/json`.",
        ),
        Kind(
            "invalid",
            422,
            "The body is not valid",
            f"The body is JSON, but not what this resource takes. {_NOTHING}",
            "Mend each place that `errors[]` points to by a JSON Pointer (RFC 6901).",
        ),
        Kind(
            "unknown-reference",
            422,
            "The body names something unknown",
            f"The body refers to something that is not on record. {_NOTHING}",
            "Record that first, or mend the identifier that `errors[]` points to.",
        ),
        Kind(
            "rule-broken",
            422,
            "A rule of the record forbids it",
            f"The request is well formed, and would contradict what is on record or a rule about it. {_NOTHING}",
            "The detail names the rule; what it refers to has to change first.",
        ),
        Kind(
            "idempotency-conflict",
            422,
            "The Idempotency-Key was used for another request",
            f"The same key came with another request within the last two weeks. {_NOTHING}",
            "Use a new key for a new request, and send a retry exactly as it was.",
        ),
        Kind(
            "precondition-required",
            428,
            "Say which version you decided on",
            f"This changes what somebody else may have changed since you read it, and has no `If-Match`. {_NOTHING}",
            "Read the resource and send its ETag as `If-Match`; `If-Match: *` says that any version will do.",
        ),
        Kind(
            "rate-limited",
            429,
            "Too many requests with this key",
            f"The key has used up its quota for the present window. {_NOTHING}",
            "Wait for as many seconds as `Retry-After` says. `RateLimit` tells before what is left.",
        ),
        Kind(
            "too-many-attempts",
            429,
            "Too many attempts to come in",
            "From this address there came too many keys and tokens that open nothing here.",
            "Mend the key, and wait for as many seconds as `Retry-After` says.",
        ),
        Kind(
            "too-many-streams",
            429,
            "The key has too many streams open",
            "One key may have only so many streams of events open at once.",
            "Close one, or follow more with one of them.",
        ),
        Kind(
            "headers-too-large",
            431,
            "The header fields are too large",
            "The header fields of the request together have more than 32 KiB, or are more than a hundred.",
            "Send fewer or shorter ones.",
        ),
        Kind(
            "internal-error",
            500,
            "Something broke on our side",
            "An error that nobody foresaw. The log of the service says what it was.",
            "Try again, with the same Idempotency-Key if it records something; if it stays, report time and request.",
        ),
        Kind(
            "store-unavailable",
            503,
            "The store is not available",
            f"The service runs, and its store does not answer. {_NOTHING}",
            "Try again after as many seconds as `Retry-After` says.",
        ),
        Kind(
            "outcome-unknown",
            503,
            "The outcome is not known",
            "It may have been recorded: the answer of the store was lost, or too few of its replicas have it.",
            "Send it again with the same Idempotency-Key, which settles it.",
        ),
        Kind(
            "provider-away",
            503,
            "The identity provider cannot be asked",
            f"The keys by which its tokens are checked cannot be had now. {_NOTHING}",
            "Send it again after a moment, or use an API key.",
        ),
        Kind(
            "store-full",
            503,
            "The store takes no more writes",
            f"The store has reached its limit of memory or disk. {_NOTHING} Reading goes on.",
            "Whoever runs the service gives the store more memory or disk.",
        ),
        Kind(
            "ledger-diverged",
            503,
            "The store is not the one that was sealed",
            f"The store lacks events that were sealed, or has others. {_NOTHING} Nothing will be until it is restored.",
            "Whoever runs the service restores the ledger from its archive: `onrecord restore`.",
        ),
        Kind(
            "not-sealed-yet",
            503,
            "It is not sealed yet",
            "What was asked for is on record, and no signed checkpoint covers it yet.",
            "Try again in a second.",
        ),
        Kind(
            "archive-unavailable",
            503,
            "The archive is not available",
            "The folder or the store of objects in which the ledger is sealed does not answer. Recording goes on.",
            "Try again later.",
        ),
        Kind(
            "archive-damaged",
            503,
            "The archive is damaged",
            "Something is missing from the archive, or is not as it was written.",
            "Whoever runs the service looks into it with `onrecord verify`.",
        ),
        Kind(
            "clock-skew",
            503,
            "The store's clock is wrong",
            f"The clock of the store is behind what is on record, or far from ours. {_NOTHING}",
            "Whoever runs the service mends the clock.",
        ),
        Kind(
            "streams-full",
            503,
            "Too many streams are open",
            "This process has as many streams of events open as it may.",
            "Try again in a moment; another process may have room.",
        ),
        Kind(
            "too-slow",
            503,
            "The stream was taken too slowly",
            "More events were waiting for this stream than are kept for one that does not keep up, so it was ended.",
            "Resume from the last id that you have, and read faster or filter more.",
        ),
        Kind(
            "shutting-down",
            503,
            "The service is about to stop",
            "This process is being stopped, and ended its streams.",
            "Try again, or resume from the last id that you have.",
        ),
        Kind(
            "not-there-yet",
            503,
            "The reading side has not caught up",
            "The request wants to see a write that documents and lists do not show yet.",
            "Try again in a moment; if it stays, look at `/readyz`.",
        ),
    )
}
"""Every kind, by its slug."""
