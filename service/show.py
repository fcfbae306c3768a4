"""What a person sees in a terminal."""

import shlex
from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from events.words import Flag, State
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
