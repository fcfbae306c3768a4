"""Pages for people about problems: HTML for browsers, plain text for everybody else."""

from html import escape

from service.api.http.kinds import KINDS, Kind


def problem(kind: Kind, *, html: bool) -> bytes:
    """Return the page that says what a kind of problem means and what to do about it."""
    if not html:
        return f"{kind.title} ({kind.status})\n\n{kind.means}\n\n{kind.advice}\n".encode()
    return _page(
        f"{kind.title} ({kind.status})",
        f"<p>{escape(kind.means)}</p>\n<h2>What to do</h2>\n<p>{escape(kind.advice)}</p>\n"
        f'<p><code>"type": "/problems/{kind.slug}"</code></p>\n<p><a href="/problems">All problems</a></p>',
    )


def problems(*, html: bool) -> bytes:
    """Return the page that lists every kind of problem."""
    kinds = list(KINDS.values())
    if not html:
        return "".join(f"/problems/{kind.slug}  {kind.title} ({kind.status})\n" for kind in kinds).encode()
    rows = "\n".join(
        f'<tr><td>{kind.status}</td><td><a href="/problems/{kind.slug}">{escape(kind.title)}</a></td></tr>'
        for kind in kinds
    )
    return _page("Problems", f"<table>\n<tr><th>Status</th><th>Problem</th></tr>\n{rows}\n</table>")


def _page(title: str, content: str) -> bytes:
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n<title>{escape(title)} | On Record</title>\n'
        f"<h1>{escape(title)}</h1>\n{content}\n</html>\n"
    ).encode()
