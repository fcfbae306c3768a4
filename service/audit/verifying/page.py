"""The report as a page for people who have to decide something by it: a lawyer, an editor, a court."""

from html import escape

from service.audit.verifying.report import Check, Report, verdict

_STYLE = """
:root{color-scheme:light dark}
body{font:17px/1.5 Georgia,serif;max-width:46rem;margin:3rem auto;padding:0 1rem}
h1{font-size:1.6rem;margin-bottom:.2rem}h2{font-size:1.2rem;margin-top:2.2rem}
.verdict{border-left:.4rem solid #2b7a3d;padding:.6rem 1rem;font-size:1.15rem}.bad{border-color:#b3261e}
table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.35rem .6rem .35rem 0;
border-bottom:1px solid #8884}td.n{text-align:right;white-space:nowrap}code{font-size:.85em;overflow-wrap:anywhere}
@media print{body{margin:0;max-width:none}}
"""

_WHAT_IT_MEANS = """
<p>The log's operator publishes, again and again, a <em>checkpoint</em>: how many events the log has, and a number (the
<em>root</em>) that is worked out from all of them. The checkpoint is signed. No event can be changed, removed, inserted
or moved without the root becoming another one; and only who holds the log's secret key can sign another root.</p>
<p>This verification worked the root out anew from the events in the archive and compared it with the signed one. It
needed no help of the operator, and no secret. What it shows if every check is in order: the events are those that the
log signed, all of them, in that order. What it does not show: whether what somebody said in them is true; and whether
the operator shows others another log. Against that, compare this root with the one that others were given for the same
number of events: they must be equal.</p>
"""


def as_page(report: Report) -> str:
    """Return the report as an HTML page that needs nothing else."""
    title = f"Verification of {report.origin or report.archive}"
    facts = [
        ("Archive", f"<code>{escape(report.archive)}</code>"),
        ("Log", f"<code>{escape(report.origin)}</code>"),
        ("Events", str(report.size) if report.origin else ""),
        ("Root", f"<code>{escape(report.root)}</code>"),
        ("Signed by the key", "<br>".join(f"<code>{escape(key)}</code>" for key in report.signed_by) or ""),
        ("Recorded from", escape(report.first)),
        ("Recorded to", escape(report.last)),
        ("Goes on from", escape(report.older)),
        ("Verified at", escape(report.verified_at)),
        ("Verified by", f"On Record {escape(report.version)}"),
    ]
    checks = "".join(
        f"<tr><td>{_mark(check)}</td><td>{escape(check.shows)}</td>"
        f'<td class="n">{check.made} {escape(check.units)}</td></tr>'
        for check in report.checks
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style>'
        f"<h1>Verification of a record</h1><p>{escape(report.ledger)}</p>"
        f'<p class="verdict{"" if report.ok else " bad"}">{escape(verdict(report))}</p>'
        f"<h2>What was verified</h2><table>{_rows(facts)}</table>"
        f"<h2>What was checked</h2><table>{checks}</table>{_findings(report)}"
        f"<h2>What this means</h2>{_WHAT_IT_MEANS}"
        f"<h2>What is in the record</h2><table>{_rows([(name, str(n)) for name, n in sorted(report.events.items())])}"
        "</table></html>\n"
    )


def _mark(check: Check) -> str:
    """Return how a check came out, as HTML."""
    if check.amiss:
        return "&#10007; amiss"
    return f"&#8230; in part: without {escape(check.without)}" if check.without else "&#10003; in order"


def _rows(facts: list[tuple[str, str]]) -> str:
    """Return rows of a table; the second of each pair is HTML."""
    return "".join(f"<tr><th>{escape(name)}</th><td>{value}</td></tr>" for name, value in facts if value)


def _findings(report: Report) -> str:
    if not report.findings:
        return ""
    rows = "".join(f"<tr><td>{escape(each.where)}</td><td>{escape(each.what)}</td></tr>" for each in report.findings)
    more = f"<p>… and {report.untold} more.</p>" if report.untold else ""
    return f"<h2>What is amiss</h2><table><tr><th>Where</th><th>What</th></tr>{rows}</table>{more}"
