"""What a person sees in a terminal."""

import shlex
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from events.words import Flag, State
from service.api.desk import Desk
from service.api.explanations import Explanation
from service.api.ledgers import LedgerStatus
from service.auth.kept_keys import KeptKey
from service.projections.documents import ClaimDocument
from service.projections.status import ProjectionStatus
from service.settings import Settings

_COLOURS = {
    State.VERIFIED: "green",
    State.CORROBORATED: "green",
    State.CONTESTED: "yellow",
    State.DENIED: "red",
    State.REFUTED: "red",
    State.MISLEADING: "red",
}

_WIDEST_FLAG = max(len(flag) for flag in Flag) + 1


def claims_table(documents: Sequence[ClaimDocument]) -> Table:
    """Return claims with their state, Admiralty digit (1 confirmed to 5 improbable, 6 cannot be judged) and flags."""
    table = Table(
        title=f"{len(documents)} claims", title_justify="left", box=box.SIMPLE, pad_edge=False, padding=(0, 1)
    )
    table.add_column("claim", ratio=1)
    table.add_column("state", no_wrap=True)
    table.add_column("1-6", justify="right")
    table.add_column("flags", min_width=_WIDEST_FLAG, ratio=1)
    for each in documents:
        standing = each.standing
        if standing is None:
            table.add_row(each.claim.text, "", "", "")
            continue
        state = Text(standing.state.value, style=_COLOURS.get(standing.state, ""))
        flags = ", ".join(flag.value for flag in standing.flags)
        table.add_row(each.claim.text, state, str(standing.credibility), flags)
    return table


def keys_table(keys: Sequence[KeptKey]) -> Table:
    """Return keys with what each may do, when it was last used, and until when it opens."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for title in ("key", "name", "scopes", "last used", "ends"):
        table.add_column(title, no_wrap=title == "key")
    for each in keys:
        ends = f"revoked {each.revoked[:16]}" if each.revoked else (each.expires or "")[:16]
        used = (each.last_used or "never")[:16]
        table.add_row(each.id, Text(each.name), " ".join(each.scopes), used, ends, style="dim" if each.revoked else "")
    return table


def ledgers_table(ledgers: Sequence[LedgerStatus]) -> Table:
    """Return ledgers with where each ends, its epoch and its policy."""
    table = Table(box=box.SIMPLE, pad_edge=False, padding=(0, 1))
    for title in ("ledger", "events", "last recorded", "epoch", "policy"):
        table.add_column(title, justify="right" if title == "events" else "left", no_wrap=True)
    for each in ledgers:
        table.add_row(each.name, str(each.position), each.recordedtime, each.epoch, each.policy.name)
    return table


def desk_page(desk: Desk) -> Text:
    """Return what somebody should look at, each with how many there are and the first of them."""
    page = Text()
    for title, part in (
        ("single-sourced", desk.single_sourced),
        ("corroborated by one disinterested government only", desk.on_one_government),
        ("assessed, and to be reviewed", desk.needs_review),
    ):
        _headed(page, title, part.count, part.all, more=part.more)
        for each in part.items:
            page.append(f"  {each.id}  {each.text}\n")
    _headed(page, "asked, and overdue", desk.overdue_inquiries.count, desk.overdue_inquiries.all, more=False)
    for asked in desk.overdue_inquiries.items:
        page.append(f"  {asked.id}  {asked.inquiry.source_id} by {asked.inquiry.deadline}\n")
    _headed(page, "ours, to be corrected", desk.to_correct.count, desk.to_correct.all, more=desk.to_correct.more)
    for ours in desk.to_correct.items:
        page.append(f"  {ours.id}  {ours.publication.title}\n")
    page.rstrip()
    return page


def _headed(page: Text, title: str, count: int, where: str, *, more: bool) -> None:
    page.append(f"{title}: {count}{' or more' if more else ''}", style="bold")
    page.append(f"  {where}\n", style="dim")


def explanation_page(explanation: Explanation) -> Text:
    """Return why a claim stands where it does, sentence by sentence, with the identifiers that each is about."""
    page = Text()
    if explanation.merged_into:
        page.append(f"{explanation.merged_into.claim_id} speaks for it.")
        return page
    for each in explanation.reasons:
        page.append(f"{each.sentence}\n")
        page.append("".join(f"  {key}\n" for key in each.ids), style="dim")
    if explanation.excluded:
        page.append("Left out:\n", style="bold")
        for each in explanation.excluded:
            page.append(f"{each.sentence}\n")
            page.append("".join(f"  {key}\n" for key in each.ids), style="dim")
    if explanation.would_change_if:
        page.append("It would change if:\n", style="bold")
        for change in explanation.would_change_if:
            page.append(f"{change.to.value}: if {change.sentence}\n")
    page.append(f"By {explanation.policy.name} version {explanation.policy.version}.", style="dim")
    return page


def projections_table(statuses: Sequence[ProjectionStatus]) -> Table:
    """Return how far each projection is, and what is special about it."""
    table = Table(box=box.SIMPLE, pad_edge=False)
    for column in ("projection", "generation", "at", "behind", "digest", "now"):
        table.add_column(column)
    for each in statuses:
        now = "rebuild asked for" if each.requested else ""
        if each.building:
            now = f"building generation {each.building}, at {each.built}"
        if each.stopped:
            now = f"stopped at event {each.stopped.position}: {each.stopped.why}"
        numbers = (str(each.generation), str(each.checkpoint), str(each.lag))
        table.add_row(each.name, *numbers, each.digest[:12], Text(now, style="red" if each.stopped else ""))
    return table


def greeting(settings: Settings, documents: Sequence[ClaimDocument]) -> str:
    """Return what ``onrecord serve`` says once it answers: where it is, and three things to try."""
    url, key = settings.api_url, settings.bootstrap_key_path
    first = documents[0].id if documents else "CLAIM_ID"
    bearer = f'-H "Authorization: Bearer $(cat {shlex.quote(str(key))})"'
    return f"""\
On Record answers at {url}
The bootstrap key is in {key}

Try, in another terminal:
  curl -s {bearer} '{url}/v1/claims?state=corroborated'
  curl -s {bearer} {url}/v1/claims/{first}
  curl -s {bearer} -H 'Accept: application/x-ndjson' {url}/v1/events

Ctrl-C stops everything in order."""
