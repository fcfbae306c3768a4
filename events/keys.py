"""Every key name in the store.

All keys of one ledger share the hash tag ``{onrecord:NAME}``, so one cluster slot; all API keys share another one.

=====================================  ==========  ==========================================================
key                                    type        holds
=====================================  ==========  ==========================================================
``{onrecord:L}:events``                stream      the log: entry ``<position>-0``, one field ``e``
``{onrecord:L}:head``                  hash        ``position``, ``time`` (microseconds), ``epochs``;
                                                   ``refused``: why it takes no writes
``{onrecord:L}:commands:WEEK``         hash        command id (16 bytes) → hash (8), first position (8), count (4)
``{onrecord:L}:positions:STREAM``      list        the positions of a stream's events; its length is the version
``{onrecord:L}:facts:EPOCH:CLAIM``     string      a snapshot of a long claim's facts: a cache, never the truth
``{onrecord:L}:projection:P``          hash        ``generation`` (the live one), ``building``, ``dropping``,
                                                   ``requested``; ``checkpoint:G``, ``digest:G``, ``version:G``
``{onrecord:L}:lease:DUTY``            hash        ``holder``, ``token``, ``until``: who has a duty now
``{onrecord:L}:duty:DUTY``             string      how far a duty is that is no projection
``{onrecord:L}:P:G:document:ID``       string      a document of projection P, generation G
``{onrecord:L}:P:G:list:ID``           list        the newest items beside that document
``{onrecord:L}:P:G:by:FIELD:VALUE``    sorted set  the documents with that value, by position of registration
``{onrecord:L}:webhooks:due``          sorted set  webhook → when it is next to be looked at (ms)
``{onrecord:L}:webhook:W:queue``       sorted set  position (16 digits) → when its delivery is next tried (ms)
``{onrecord:L}:webhook:W:tries``       hash        position → attempts until now, and the first one's moment (JSON)
``{onrecord:L}:webhook:W:state``       hash        counters, how the endpoint does, and where it fetches from the log
``{onrecord:L}:webhook:W:log``         stream      the newest attempts
``{onrecord:L}:webhook:W:dead``        sorted set  position → when its delivery was given up (ms)
``onrecord:ledgers``                   set         the names of all ledgers
``{onrecord}:key:ID``                  hash        an API key: ``sha256``, ``ledger``, ``scopes``, ``name``…
``{onrecord}:keys:L``                  sorted set  the keys of ledger L, by when each is forgotten
``{onrecord}:administrators:L``        sorted set  those in force that have the scope ``admin``, by when each expires
``{onrecord}:revocations``             stream      the keys that were revoked: field ``key``
``{onrecord}:bootstrap``               string      the id of the bootstrap key
``onrecord:limit:NAME:ID``             hash        what a key has used of a quota: ``window``, ``used``
``onrecord:vault:L``                   string      what tells the secret key of ledger L from another one
``onrecord:vault:L:SUBJECT``           string      the wrapped key of a subject, or the mark that it was erased
``onrecord:vault:L:kept_ID``           string      what is of no event, encrypted: URL, headers, secrets of a webhook
=====================================  ==========  ==========================================================
"""

LEDGERS = "onrecord:ledgers"
BOOTSTRAP = "{onrecord}:bootstrap"
REVOCATIONS = "{onrecord}:revocations"


def api_key(key_id: str) -> str:
    """Return where the API key ``key_id`` is kept."""
    return f"{{onrecord}}:key:{key_id}"


def api_keys(ledger: str) -> str:
    """Return the API keys of a ledger, by when each is forgotten."""
    return f"{{onrecord}}:keys:{ledger}"


def administrators(ledger: str) -> str:
    """Return the API keys of a ledger in force that have the scope ``admin``, by when each expires."""
    return f"{{onrecord}}:administrators:{ledger}"


def rate_limit(name: str, key_id: str) -> str:
    """Return where it says how much an API key has used of the quota of that name."""
    return f"onrecord:limit:{name}:{key_id}"


def vault_check(ledger: str) -> str:
    """Return where it says with which secret key a ledger's vault was begun."""
    return f"onrecord:vault:{ledger}"


def vault(ledger: str, subject: str) -> str:
    """Return where the key of a subject of a ledger is kept."""
    return f"onrecord:vault:{ledger}:{subject}"


class LedgerKeys:
    """The keys of one ledger."""

    def __init__(self, ledger: str) -> None:
        self._tag = f"{{onrecord:{ledger}}}"
        self.events = f"{self._tag}:events"
        self.head = f"{self._tag}:head"
        self._positions = f"{self._tag}:positions:"

    def commands(self, week: int) -> str:
        """Return the bucket of the commands recorded in a week (whole weeks since 1970)."""
        return f"{self._tag}:commands:{week}"

    def positions(self, stream: str) -> str:
        """Return the list of positions of a stream."""
        return self._positions + stream

    def facts(self, epoch: str, claim_id: str) -> str:
        """Return the snapshot of a claim's facts."""
        return f"{self._tag}:facts:{epoch}:{claim_id}"

    def projection(self, name: str) -> str:
        """Return where a projection keeps its checkpoint and its generation."""
        return f"{self._tag}:projection:{name}"

    def lease(self, duty: str) -> str:
        """Return where it says who has a duty."""
        return f"{self._tag}:lease:{duty}"

    def duty(self, duty: str) -> str:
        """Return how far the worker is with a duty that keeps its place by itself."""
        return f"{self._tag}:duty:{duty}"

    @property
    def webhooks_due(self) -> str:
        """Return where it says when each webhook is next to be looked at."""
        return f"{self._tag}:webhooks:due"

    def webhook(self, webhook_id: str, part: str) -> str:
        """Return a part of what is kept of a webhook's deliveries: queue, tries, state, log or dead."""
        return f"{self._tag}:webhook:{webhook_id}:{part}"

    def generation(self, projection: str, generation: int) -> str:
        """Return what the keys of one generation of a projection begin with."""
        return f"{self._tag}:{projection}:{generation}:"

    def document(self, projection: str, generation: int, document_id: str) -> str:
        """Return the key of one document."""
        return f"{self._tag}:{projection}:{generation}:document:{document_id}"

    def listed(self, projection: str, generation: int, document_id: str) -> str:
        """Return the list beside one document."""
        return f"{self._tag}:{projection}:{generation}:list:{document_id}"

    def index(self, projection: str, generation: int, field: str, value: str) -> str:
        """Return the sorted set of the documents whose ``field`` has ``value``."""
        return f"{self._tag}:{projection}:{generation}:by:{field}:{value}"
