"""Stories: open, list, read."""

from litestar import get, post
from litestar.params import FromPath, FromQuery

from events.catalog import StoryOpened
from events.identifiers import new_id
from events.records import Story
from service.api.http.answer import Answer
from service.api.http.bodies import body
from service.api.http.served import ApiRequest, Receipt, caller, created, document, listing, page_size, served
from service.projections.catalog import STORIES
from service.projections.documents import StoryDocument

_WHERE = "/v1/stories"


@post(_WHERE, operation_id="openStory", summary="Open a story", opt={"body": Story, "answer": Receipt})
async def open_story(request: ApiRequest) -> Answer:
    """Open a story: the matter being covered, with its parties and who sides with whom."""
    story = await body(request, Story)
    proposed = StoryOpened(story_id=new_id("story"), story=story)
    outcome = await served(request).recorder.on_story(proposed, caller(request, "openStory", story))
    return created(request, outcome, "story_id", STORIES, _WHERE)


@get(_WHERE, operation_id="listStories", summary="List stories", opt={"items": StoryDocument})
async def list_stories(request: ApiRequest, after: FromQuery[str | None] = None, limit: FromQuery[int] = 50) -> Answer:
    """List stories in the order in which they were opened."""
    return await listing(request, STORIES, [], after, page_size(limit))


@get(f"{_WHERE}/{{story_id:str}}", operation_id="getStory", summary="Read a story", opt={"answer": StoryDocument})
async def get_story(request: ApiRequest, story_id: FromPath[str]) -> Answer:
    """Read a story. Its claims are listed by `/v1/claims?story=`."""
    return await document(request, STORIES, story_id)


ROUTES = (open_story, list_stories, get_story)
