"""Messages for chats: what an editor reads, and what nobody can smuggle into them."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.webhooks.formats import Note, slack, teams

GOLDEN = Path(__file__).parent / "golden"
MOVED = Note(
    "Contested: a claim moved",
    "Russian forces strike civilian areas.",
    "The crash of an Il-76 near Belgorod",
    was="unverified",
    now="contested",
    flags=("denied by interested party", "no evidence supplied", "single origin"),
    why="One statement denies it.",
    who="Government of Russia",
    link="https://desk.example/claims/claim_1",
)
SAID = Note("A statement is on record", "It fell.", "A crash", why="asserts: “It fell.”", who="Tass")
HOSTILE = Note(
    "A statement is on record",
    "<!channel> *bold* _it_ `code` & [text](https://evil.example)\n# heading",
    who="<@U1> <https://evil.example|Tass>",
)


@pytest.mark.parametrize(("name", "note"), [("moved", MOVED), ("said", SAID), ("hostile", HOSTILE)])
@pytest.mark.parametrize("make", [slack, teams])
def test_a_message_is_as_it_was_read_and_found_good(name: str, note: Note, make: Any) -> None:
    """The messages are those in the golden files."""
    golden = GOLDEN / f"{make.__name__}-{name}.json"
    assert json.loads(golden.read_text()) == make(note)


def test_what_is_quoted_mentions_nobody_and_links_nowhere() -> None:
    """Markup in what a source said is shown as it is written, and does nothing."""
    sent = json.dumps(slack(HOSTILE), ensure_ascii=False)
    assert "<!channel>" not in sent
    assert "<@U1>" not in sent
    assert "<https://evil" not in sent
    card = json.dumps(teams(HOSTILE), ensure_ascii=False)
    assert "[text](" not in card
