"""Where a webhook may be sent."""

import ipaddress

import pytest

from service.webhooks.destination import Destination, Refused, is_public, read

UNREADABLE = [
    "",
    "hooks.example.com",
    "//hooks.example.com/x",
    "/etc/passwd",
    "https:",
    "https://",
    "https:///x",
    "https:hooks.example.com",
    "ftp://hooks.example.com/",
    "file:///etc/passwd",
    "gopher://127.0.0.1:6379/_FLUSHALL",
    "javascript://hooks.example.com/%0aalert(1)",
    "unix:///var/run/docker.sock",
    "data:text/plain,x",
    "https://user@hooks.example.com/",
    "https://user:secret@hooks.example.com/",
    "https://hooks.example.com@127.0.0.1/",
    "https://127.0.0.1#@hooks.example.com/",
    "https://hooks.example.com#fragment",
    "https://hooks.example.com\\@127.0.0.1/",
    "https:\\\\hooks.example.com/",
    "https://hooks.example.com/a b",
    "https://hooks.example.com/\r\nX-Header: y",
    "https://hooks.example.com/\t",
    " https://hooks.example.com/",
    "https://hooks.example.com/\x00",
    "https://hooks.example.com:0/",
    "https://hooks.example.com:65536/",
    "https://hooks.example.com:99999999/",
    "https://hooks.example.com:8o/",
    "https://hooks.example.com:/",
    "https://hooks.example.com:443:80/",
    "https://-hooks.example.com/",
    "https://hooks-.example.com/",
    "https://hooks..example.com/",
    "https://.example.com/",
    "https://hooks.example.com./",
    "https://%31%32%37.0.0.1/",
    "https://hooks.ex%61mple.com/",
    "https://hooks.exämple.com/",
    "https://①②⑦.⓪.⓪.①/",
    "https://127。0。0。1/",
    "https://2130706433/",
    "https://0x7f000001/",
    "https://0x7f.0.0.1/",
    "https://017700000001/",
    "https://0177.0.0.1/",
    "https://127.1/",
    "https://127.0.1/",
    "https://127.0.0.01/",
    "https://0/",
    "https://1.2.3.4.5/",
    "https://256.0.0.1/",
    "https://[::1/",
    "https://::1/",
    "https://[::1%25eth0]/",
    "https://[fe80::1%eth0]/",
    "https://[::g]/",
    "https://[1.2.3.4]/",
    "https://[v1.fe80::a]/",
    "https://" + "a" * 64 + ".example.com/",
    "https://" + "a." * 130 + "com/",
    "https://hooks.example.com/" + "a" * 2048,
]
"""URLs that are refused as they are written."""

NOT_PUBLIC = [
    "127.0.0.1", "127.255.255.254", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.100.100.200",
    "168.63.129.16", "169.254.169.254", "169.254.0.1", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.0.192",
    "192.0.2.1", "192.88.99.1", "192.168.0.1", "198.18.0.1", "198.19.255.255", "198.51.100.7", "203.0.113.9",
    "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
    "::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:8.8.8.8", "::ffff:0:127.0.0.1",
    "64:ff9b::127.0.0.1", "64:ff9b::10.0.0.1", "64:ff9b:1::7f00:1", "100::1", "2001::1", "2001:0:4136:e378::1",
    "2001:2::1", "2001:10::1", "2001:20::1", "2001:db8::1", "2002:7f00:1::1", "2002:a9fe:a9fe::1", "3fff::1",
    "5f00::1", "fc00::1", "fd00:ec2::254", "fd12:3456:789a::1", "fe80::1", "fec0::1", "ff02::1", "ff0e::1",
    "0.0.0.0",  # noqa: S104 - nothing is bound to it
]  # fmt: skip
"""Addresses that are nobody's on the public internet."""


@pytest.mark.parametrize("url", UNREADABLE)
def test_a_url_that_parsers_could_disagree_about_is_refused(url: str) -> None:
    """Whatever is not plainly an absolute http or https URL is refused, with a reason."""
    with pytest.raises(Refused) as refused:
        read(url)
    assert str(refused.value)


def test_there_are_at_least_sixty_hostile_urls() -> None:
    """The table of URLs that are refused is not worn down."""
    assert len(set(UNREADABLE)) >= 60


@pytest.mark.parametrize("address", NOT_PUBLIC)
def test_an_address_with_another_use_is_not_public(address: str) -> None:
    """Loopback, private, link-local, mapped, translated, reserved and multicast addresses are not public."""
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00::1"])
def test_an_ordinary_address_is_public(address: str) -> None:
    """What is given out to somebody can be sent to."""
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    ("url", "read_as", "authority"),
    [
        ("https://hooks.example.com", Destination("https", "hooks.example.com", 443, "/"), "hooks.example.com"),
        ("HTTPS://Hooks.Example.COM:443/x", Destination("https", "hooks.example.com", 443, "/x"), "hooks.example.com"),
        ("https://h.example:8443?a=b", Destination("https", "h.example", 8443, "/?a=b"), "h.example:8443"),
        ("http://192.0.2.1/a%20b?c=%2F", Destination("http", "192.0.2.1", 80, "/a%20b?c=%2F"), "192.0.2.1"),
        (
            "https://[2606:4700:0::1111]:444/",
            Destination("https", "2606:4700::1111", 444, "/"),
            "[2606:4700::1111]:444",
        ),
        ("https://xn--exmple-cua.com/", Destination("https", "xn--exmple-cua.com", 443, "/"), "xn--exmple-cua.com"),
        ("https://my_service.internal/", Destination("https", "my_service.internal", 443, "/"), "my_service.internal"),
    ],
)
def test_a_plain_url_is_read(url: str, read_as: Destination, authority: str) -> None:
    """Host, port and target are as they are dialled and sent."""
    assert read_as == read(url)
    assert authority == read(url).authority
