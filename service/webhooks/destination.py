"""Where a webhook may be sent: what is read in a URL, and which addresses are somebody's on the public internet.

A URL is read strictly, so that what is checked is what is dialled: parsers disagree about anything unusual in one, and
that is how guards are passed. An address is public only if no registry gives it another use.
"""

import ipaddress
import re
from collections.abc import Sequence
from typing import Final, TypeAlias

from msgspec import Struct

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LONGEST_URL: Final = 2048
_LONGEST_HOST: Final = 253
_PORTS: Final = {"https": 443, "http": 80}
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<authority>[^/?#]*)(?P<target>[/?][^#]*)?(?P<fragment>#.*)?", re.DOTALL
)
_AUTHORITY = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
"""What system resolvers read as a number: decimal, octal or hexadecimal."""

_NOT_PUBLIC: Final[Sequence[Network]] = [
    ipaddress.ip_network(network)
    for network in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",  # private
        "100.64.0.0/10",  # shared, carrier-grade NAT
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # a cloud platform's own, inside every virtual machine there
        "169.254.0.0/16",  # link-local, metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",  # private
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, broadcast
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: leads to an IPv4 address
        "3fff::/20",  # documentation
    )
]
"""Special-purpose networks of IANA's registries (RFC 6890), inside what is unicast."""
_UNICAST = ipaddress.IPv6Network("2000::/3")
"""The only part of IPv6 that is given out; IPv4-mapped, NAT64, unique local and link-local addresses are outside."""


class Refused(Exception):
    """A destination that nothing is sent to. The message says why, and nothing of what a name resolved to."""


NOT_PUBLIC = "the host leads nowhere, or not to public addresses alone, which are the only ones that are sent to"
"""Said of a name that resolves to anything else, and of one that does not resolve at all: the two look the same from
outside, or the names of an internal network could be tried out."""


class Destination(Struct, frozen=True):
    """An endpoint's URL, read: ``host`` is lower case and without brackets, ``target`` is path and query."""

    scheme: str
    host: str
    port: int
    target: str

    @property
    def literal(self) -> Address | None:
        """The address, if the host is written as one."""
        try:
            return ipaddress.ip_address(self.host)
        except ValueError:
            return None

    @property
    def authority(self) -> str:
        """The value of the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read(url: str) -> Destination:
    """Read an endpoint's URL (RFC 3986, in ASCII). Raises ``Refused`` for one that nothing is sent to."""
    if len(url) > LONGEST_URL:
        raise Refused(f"the URL has {len(url)} characters; {LONGEST_URL} is the most")
    if not url.isascii() or any(not "!" <= character <= "~" for character in url) or "\\" in url:
        raise Refused("a URL is written in visible ASCII without backslashes; give an international name as xn--…")
    parts = _URL.fullmatch(url)
    if parts is None:
        raise Refused("it is no absolute URL, such as https://hooks.example.com/onrecord")
    scheme, authority = parts["scheme"].lower(), parts["authority"]
    if scheme not in _PORTS:
        raise Refused(f"the scheme is https, not {scheme[:20]}")
    if "@" in authority:
        raise Refused("the URL has a user name or password; put credentials in a header of the endpoint")
    if parts["fragment"] is not None:
        raise Refused("the URL has a fragment (#…), which is never sent")
    where = _AUTHORITY.fullmatch(authority)
    if where is None:
        raise Refused("the URL's host or port is not valid")
    port = int(where["port"]) if where["port"] is not None else _PORTS[scheme]
    if not 0 < port <= 65535:  # noqa: PLR2004 - of TCP
        raise Refused("the URL's port is not valid")
    target = parts["target"] or "/"
    return Destination(scheme, _host(where["host"]), port, target if target.startswith("/") else f"/{target}")


def is_public(address: Address) -> bool:
    """Whether an address is somebody's on the public internet."""
    if isinstance(address, ipaddress.IPv6Address) and address not in _UNICAST:
        return False
    return not any(address in network for network in _NOT_PUBLIC)


def _host(written: str) -> str:
    """Return a host in lower case, an IPv6 address without brackets. Raises ``Refused`` for odd spellings."""
    if written.startswith("["):
        try:
            return str(ipaddress.IPv6Address(written[1:-1]))
        except ValueError as error:
            raise Refused("the URL's host is no IPv6 address") from error
    labels = written.split(".")
    if _NUMBER.fullmatch(labels[-1]):
        try:
            return str(ipaddress.IPv4Address(written))
        except ValueError as error:
            raise Refused("an IPv4 address is written as four decimal numbers, as in 192.0.2.1") from error
    if len(written) > _LONGEST_HOST or not all(_LABEL.fullmatch(label) for label in labels):
        raise Refused("the URL's host is no host name")
    return written.lower()
