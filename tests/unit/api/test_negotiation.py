"""What a caller accepts, by the rules of RFC 9110, section 12."""

import pytest

from service.api.http.negotiation import HTML, JSON, TEXT, acceptable, coding, offered

PAGES = (TEXT, HTML)


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/*", TEXT),
        ("text/html", HTML),
        ("TEXT/HTML", HTML),
        ("text/html;q=0.5, text/plain;q=0.6", TEXT),
        ("text/html;level=1;q=0.4, text/*;q=0.3", HTML),
        ("text/plain;q=0, */*", HTML),
        ("application/json", None),
        ("*/*;q=0", None),
        ("text/html;q=nonsense", None),
        (", ,", TEXT),
    ],
)
def test_the_type_that_is_preferred_is_given(accept: str, expected: str | None) -> None:
    """The best quality wins, the more exact range says it, and of equals the first that is offered."""
    assert expected == acceptable(accept, PAGES)


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        (b"gzip", "gzip"),
        (b"br, gzip", "br"),
        (b"br;q=0.1, gzip;q=0.2", "gzip"),
        (b"*;q=0.5, br;q=0", "gzip"),
        (b"identity;q=0.5, gzip;q=0.4", None),
        (b"deflate, zstd", None),
        (b"br;q=0", None),
        (b"\xff\xfe", None),
        (b"", None),
    ],
)
def test_the_coding_that_is_preferred_is_used(accepted: bytes, expected: str | None) -> None:
    """A coding is used if it is wanted at least as much as none."""
    assert expected == coding(accepted)


def test_a_route_offers_what_it_says() -> None:
    """JSON for documents, what streams beside it, and nothing where a route does not say."""
    assert offered({"answer": object}) == (JSON,)
    assert offered({"events": True, "streams": ("application/x-ndjson",)}) == (JSON, "application/x-ndjson")
    assert offered({"text": True}) == (TEXT,)
    assert offered({"text": True, "media": PAGES}) == PAGES
    assert offered({"public": True}) == ()
