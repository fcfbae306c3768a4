"""Stories: open, list, read, describe anew, close."""

from collections.abc import Sequence

import msgspec
from litestar import get, patch, post
from litestar.params import FromPath, FromQuery

from events.catalog import Event, StoryClosed, StoryOpened, StoryUpdated
from events.identifiers import new_id
from events.records import Closing, Story, StoryChanges
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.documents import document, listing, page_size, unversioned
from service.api.http.moments import horizon
from service.api.http.receipts import Receipt, caller, recorded
from service.api.http.served import ApiRequest, served
from service.auth.scopes import Scope
from service.projections.catalog import STORIES
from service.projections.documents import StoryDocument
from service.projections.past import story_at
from service.verification.refusals import NotOnRecord

_WHERE = "/v1/stories"


@post(
    _WHERE,
    operation_id="openStory",
    summary="Open a story",
    opt={"body": Story, "answer": Receipt, "scope": Scope.RECORD},
)
async def open_story(request: ApiRequest) -> Answer:
    """Open a story: the matter being covered, with its parties and who sides with whom."""
    story = await body(request, Story)
    proposed = StoryOpened(story_id=new_id("story"), story=story)
    return await _on_story(request, "openStory", (story,), proposed, status=201)


@get(_WHERE, operation_id="listStories", summary="List stories", opt={"items": StoryDocument, "scope": Scope.READ})
async def list_stories(
    request: ApiRequest,
    after: FromQuery[str | None] = None,
    before: FromQuery[str | None] = None,
    limit: FromQuery[int] = 50,
) -> Answer:
    """List stories in the order in which they were opened."""
    return await listing(request, STORIES, [], after, page_size(limit), before=before)


@get(
    f"{_WHERE}/{{story_id:str}}",
    operation_id="getStory",
    summary="Read a story",
    opt={"answer": StoryDocument, "scope": Scope.READ},
)
async def get_story(
    request: ApiRequest,
    story_id: FromPath[str],
    as_of: FromQuery[str | None] = None,
    said_by: FromQuery[str | None] = None,
) -> Answer:
    """Read a story. Its claims are listed by `/v1/claims?story=`.

    `as_of` (a position, a cursor or a time) reads it as it was recorded by then, `said_by` (a time) likewise.
    """
    ledger = served(request).ledger
    moment = await horizon(ledger, as_of, said_by)
    if moment is None:
        return await document(request, STORIES, story_id)
    found = await story_at(ledger, story_id, moment) if story_id.startswith("story_") else None
    if found is None:
        raise NotOnRecord(f"there was no story {story_id[:80]} then")
    return await unversioned(request, msgspec.json.encode(found))


@patch(
    f"{_WHERE}/{{story_id:str}}",
    operation_id="updateStory",
    summary="Describe a story anew",
    opt={"body": StoryChanges, "answer": Receipt, "scope": Scope.RECORD, "if_match": True},
)
async def update_story(request: ApiRequest, story_id: FromPath[str]) -> Answer:
    """Change a story: members that are left out stay, those that are null are cleared.

    Other parties or allies can change verdicts: a worker follows that up for every claim of the story.
    """
    changes = await body(request, StoryChanges)
    proposed = StoryUpdated(story_id=story_id, changes=changes)
    return await _on_story(request, "updateStory", (story_id, changes), proposed, status=200)


@post(
    f"{_WHERE}/{{story_id:str}}/closing",
    operation_id="closeStory",
    summary="Close a story",
    opt={"body": Closing, "answer": Receipt, "scope": Scope.RECORD},
)
async def close_story(request: ApiRequest, story_id: FromPath[str]) -> Answer:
    """Record that a story is no longer covered: no claim is added to it, what is on record can still be amended."""
    closing = await body(request, Closing)
    proposed = StoryClosed(story_id=story_id, closing=closing)
    return await _on_story(request, "closeStory", (story_id, closing), proposed, status=201)


async def _on_story(
    request: ApiRequest, operation: str, content: Sequence[object], proposed: Event, *, status: int
) -> Answer:
    outcome = await served(request).recorder.on_story(proposed, caller(request, operation, *content))
    return recorded(request, outcome, "story_id", STORIES, _WHERE, status=status)


ROUTES = (open_story, list_stories, get_story, update_story, close_story)
