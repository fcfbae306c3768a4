"""Reading what projections hold: documents as stored bytes, lists in order of registration, and waiting for a write."""

import asyncio
import time
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Struct

from events.keys import LedgerKeys
from events.store import Script, Store, answering
from service.projections.catalog import EVERYTHING, PROJECTIONS, Membership, Projection
from service.projections.documents import MOST_LISTED
from service.projections.engine import Place, place, placed
from service.projections.kept import Asked, Found, Kept

LONGEST_WAIT = 2.0
"""Seconds that a read waits for a write that it must see."""
_POLL = 0.005
_ITEM = "*"
"""What a document is kept for that was read as one of a list, without its version."""
_WALK = 200
_MOST_WALKS = 20
"""A page looks at up to 20 times 200 members; a rarer combination of filters gives a short page with a cursor."""


class NotThereYet(Exception):
    """A projection has not reached the position that a read must see; trying again soon helps."""

    def __init__(self, projection: str, position: int, reached: int) -> None:
        super().__init__(f"{projection} is at {reached}, not yet at {position}")


class Page(Struct, frozen=True):
    """Documents as stored, and the position to continue after; None at the end."""

    items: list[bytes]
    next_after: int | None
    prev_before: int | None = None
    """The position up to which the page before this one goes; None at the beginning."""
    checkpoint: int = 0
    generation: int = 0
    """The state of the projection in which the page was read."""


class _Versioned(Struct):
    version: int = 0


_DOCUMENT = Script("service.projections", "document.lua")
_version_of = msgspec.json.Decoder(_Versioned).decode


class Queries:
    """What one ledger's projections answer."""

    def __init__(self, store: Store, keys: LedgerKeys, kept: Kept | None = None) -> None:
        self.store, self._keys, self._kept = store, keys, kept
        self._generations: dict[str, int] = {}

    async def aclose(self) -> None:
        """Keep nothing any more, and leave no task."""
        if self._kept:
            await self._kept.aclose()

    def generation(self, projection: Projection) -> int:
        """Return the generation of a projection that this process last saw."""
        return self._generations.get(projection.name, 1)

    async def look(self) -> None:
        """Look which generation of every projection is live."""
        for projection in PROJECTIONS:
            at = await place(self.store, self._keys, projection.name)
            self._generations[projection.name] = at.generation

    async def document(
        self,
        projection: Projection,
        document_id: str,
        *,
        position: int = 0,
        listed: str = "",
        related: Membership | None = None,
    ) -> Found | None:
        """Return one document as it is at a position or later, with the list beside it as its member ``listed``.

        ``related`` asks for the first fifty documents of an index besides; only with ``listed``. What is kept in this
        process takes no round trip; else it is one, or two if there are such documents, unless the projection has just
        been rebuilt. Raises ``NotThereYet`` if it is not at the position in time.
        """
        asked = Asked(projection.name, document_id, listed)
        if self._kept and (found := self._kept.find(asked, position)):
            return found
        if position:
            await self.wait_for(projection, position)
        found = await self._document(projection, document_id, listed, related)
        if self._kept and found and not found.related:
            self._kept.keep(asked, found)
        return found

    async def _document(
        self, projection: Projection, document_id: str, listed: str, related: Membership | None
    ) -> Found | None:
        name = projection.name
        while True:
            generation = self._generations.get(name, 1)
            keys = [self._keys.projection(name), self._keys.document(name, generation, document_id)]
            if listed:
                keys.append(self._keys.listed(name, generation, document_id))
            if related:
                keys.append(self._keys.index(name, generation, *related))
            with answering():
                current, raw, items, members, checkpoint = await _DOCUMENT.run(
                    self.store, keys, [generation, MOST_LISTED]
                )
            self._generations[name] = int(current or 1)
            if self._generations[name] == generation:
                break
        if raw is None:
            return None
        version = _version_of(raw).version
        if listed:
            raw = b'%s,"%s":[%s]}' % (raw[:-1], listed.encode(), b",".join(items))
        names = [member.decode() for member in members]
        beside, _ = await self._documents(projection, generation, names) if names else ([], generation)
        found = tuple(each for each in beside if each is not None)
        return Found(raw, version, generation, int(checkpoint or 0), found)

    async def page(  # noqa: PLR0913 - which, of what, from where on, how many
        self,
        projection: Projection,
        filters: Sequence[Membership],
        *,
        after: int = 0,
        before: int | None = None,
        limit: int = 50,
        by: Membership | None = None,
    ) -> Page:
        """Return the documents that are in every one of the indexes, in order of registration.

        They are the first ones after a position or, with ``before``, the last ones up to that and after ``after``.
        ``by`` names an index whose order it is instead.
        """
        if len(filters) + (by is not None) <= 1:
            at, found, last = await self._walk_one(projection, filters[0] if filters else by, after, before, limit)
        else:
            at = await place(self.store, self._keys, projection.name)
            self._generations[projection.name] = at.generation
            indexes = [
                self._keys.index(projection.name, at.generation, field, value)
                for field, value in filters or [by or EVERYTHING]
            ]
            walked, *checked = await self._smallest_first(indexes)
            if by and filters:
                walked, checked = self._keys.index(projection.name, at.generation, *by), indexes
            found, last = await self._walk(walked, checked, after, before, limit)
        names = [member for member, _ in found]
        items, live = await self._kept_documents(projection, at, names if before is None else names[::-1])
        if live != at.generation:  # rebuilt while we read: indexes or documents may have been dropped under us
            return await self.page(projection, filters, after=after, before=before, limit=limit, by=by)
        following, preceding = (last, after or None) if before is None else (before, last)
        present = [item for item in items if item is not None]
        return Page(present, following, preceding, at.checkpoint, at.generation)

    def holds_document(self, projection: Projection, document_id: str, listed: str, found: Found) -> bool:
        """Whether a document that was found is kept, and is still what :meth:`document` would find."""
        return self._kept is not None and self._kept.find(Asked(projection.name, document_id, listed), 0) is found

    def holds_page(self, projection: Projection, page: Page) -> bool:
        """Whether this process knows a page to be still what :meth:`page` would read."""
        return self._kept is not None and self._kept.is_unmoved(projection.name, page.generation, page.checkpoint)

    async def _walk_one(
        self, projection: Projection, membership: Membership | None, after: int, before: int | None, limit: int
    ) -> tuple[Place, list[tuple[str, int]], int | None]:
        """Return where a projection is and what :meth:`_walk` does of one index, in one round trip if that can be."""
        while True:
            generation = self._generations.get(projection.name, 1)
            index = self._keys.index(projection.name, generation, *(membership or EVERYTHING))
            with answering():
                pipeline = self.store.pipeline(transaction=False)
                pipeline.hgetall(self._keys.projection(projection.name))
                _queue_members(pipeline, index, after, before, limit + 1)
                stored, found = await pipeline.execute()
            at = placed(stored)
            self._generations[projection.name] = at.generation
            if at.generation != generation:
                continue
            members = _as_members(found)
            if len(members) <= limit:
                return at, members, None
            if members[-1][1] != members[-2][1]:
                kept = members[:limit]
                return at, kept, kept[-1][1] + (0 if before is None else -1)
            return at, *await self._walk(index, [], after, before, limit)  # what one event did together stays together

    async def _walk(
        self, walked: str, checked: list[str], after: int, before: int | None, limit: int
    ) -> tuple[list[tuple[str, int]], int | None]:
        """Return members of an index that are in all of others too, from one end of a range on.

        With them the position where to go on, None if nothing is left of the range.
        """
        found: list[tuple[str, int]] = []
        onwards = 0 if before is None else -1
        for _ in range(_MOST_WALKS):
            members = await self._members(walked, after, before)
            is_last = len(members) < _WALK
            whole = members if is_last else _whole(members, _WALK - 1)
            found += await self._in_all(whole, checked)
            if len(found) > limit:
                kept = _whole(found, limit)
                return kept, kept[-1][1] + onwards
            if is_last:
                return found, None
            if before is None:
                after = whole[-1][1]
            else:
                before = whole[-1][1] - 1
        return found, after if before is None else before

    async def until(
        self, projection: Projection, membership: Membership, most: int, *, limit: int = _WALK
    ) -> list[bytes]:
        """Return the first documents of an index whose score is at most ``most``, in the order of their scores."""
        at = await place(self.store, self._keys, projection.name)
        index = self._keys.index(projection.name, at.generation, *membership)
        with answering():
            names = await self.store.zrangebyscore(index, "-inf", most, start=0, num=limit)
        found, _ = await self._documents(projection, at.generation, [name.decode() for name in names])
        return [each for each in found if each is not None]

    async def count(self, projection: Projection, filters: Sequence[Membership], *, most: int = 1000) -> int:
        """Return how many documents are in every one of the indexes, counting no further than ``most``."""
        at = await place(self.store, self._keys, projection.name)
        indexes = [self._keys.index(projection.name, at.generation, *membership) for membership in filters]
        with answering():
            return int(await self.store.zintercard(len(indexes), indexes, limit=most))

    async def documents(self, projection: Projection, names: Sequence[str]) -> list[bytes]:
        """Return those of these documents that there are."""
        at = await place(self.store, self._keys, projection.name)
        found, _ = await self._documents(projection, at.generation, list(names))
        return [each for each in found if each is not None]

    async def wait_for(
        self, projection: Projection, position: int, *, seconds: float = LONGEST_WAIT, poll: float = _POLL
    ) -> None:
        """Return once a projection holds the event at ``position``. Raises ``NotThereYet`` after ``seconds``.

        It is looked for every ``poll`` seconds.
        """
        deadline = time.monotonic() + seconds
        while (reached := (await place(self.store, self._keys, projection.name)).checkpoint) < position:
            if time.monotonic() > deadline:
                raise NotThereYet(projection.name, position, reached)
            await asyncio.sleep(poll)

    async def _smallest_first(self, indexes: list[str]) -> list[str]:
        if len(indexes) == 1:
            return indexes
        with answering():
            pipeline = self.store.pipeline(transaction=False)
            for index in indexes:
                pipeline.zcard(index)
            sizes = await pipeline.execute()
        return [index for _, index in sorted(zip(sizes, indexes, strict=True))]

    async def _members(self, index: str, after: int, before: int | None) -> list[tuple[str, int]]:
        """Return the first members of an index after a position or, backwards, the last ones up to one."""
        with answering():
            pipeline = self.store.pipeline(transaction=False)
            _queue_members(pipeline, index, after, before, _WALK)
            (found,) = await pipeline.execute()
        return _as_members(found)

    async def _in_all(self, members: list[tuple[str, int]], indexes: list[str]) -> list[tuple[str, int]]:
        """Return the members that are in each of these indexes too."""
        if not members or not indexes:
            return members
        with answering():
            pipeline = self.store.pipeline(transaction=False)
            for index in indexes:
                pipeline.zmscore(index, [member for member, _ in members])
            answers = await pipeline.execute()
        inside = [all(score is not None for score in scores) for scores in zip(*answers, strict=True)]
        return [member for member, kept in zip(members, inside, strict=True) if kept]

    async def _kept_documents(
        self, projection: Projection, at: Place, names: list[str]
    ) -> tuple[list[bytes | None], int]:
        """Return documents as they are at a place or later, those that are kept without asking the store again."""
        if self._kept is None:
            return await self._documents(projection, at.generation, names)
        found = {
            name: kept.raw
            for name in names
            if (kept := self._kept.find(Asked(projection.name, name, _ITEM), at.checkpoint))
            and kept.generation == at.generation
        }
        live = at.generation
        if missing := [name for name in names if name not in found]:
            read, live = await self._documents(projection, at.generation, missing)
            for name, raw in zip(missing, read, strict=True):
                if raw is not None and live == at.generation:
                    found[name] = raw
                    self._kept.keep(Asked(projection.name, name, _ITEM), Found(raw, 0, live, at.checkpoint))
        return [found.get(name) for name in names], live

    async def _documents(
        self, projection: Projection, generation: int, names: list[str]
    ) -> tuple[list[bytes | None], int]:
        """Return documents of a generation, and the generation that is live after they were read."""
        with answering():
            pipeline = self.store.pipeline(transaction=False)
            if names:
                keys = [self._keys.document(projection.name, generation, name) for name in names]
                pipeline.execute_command("MGET", *keys)  # of a cluster it has no mget(), though all are in one slot
            pipeline.hget(self._keys.projection(projection.name), "generation")
            *found, live = await pipeline.execute()
        return list(found[0]) if found else [], int(live or 1)


def _whole(members: list[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Return the first of more members than ``most``; those at one position stay together, even if they are more.

    Several documents can have changed by the same event. A page that ended among them would skip the rest.
    """
    beyond = members[most][1]
    return [each for each in members[:most] if each[1] != beyond] or [each for each in members if each[1] == beyond]


def _queue_members(pipeline: Any, index: str, after: int, before: int | None, number: int) -> None:  # noqa: ANN401
    """Ask for the first members of an index after a position or, backwards, the last ones up to one."""
    if before is None:
        pipeline.zrangebyscore(index, f"({after}", "+inf", start=0, num=number, withscores=True)
    else:
        pipeline.zrevrangebyscore(index, before, f"({after}", start=0, num=number, withscores=True)


def _as_members(found: list[tuple[bytes, float]]) -> list[tuple[str, int]]:
    return [(member.decode(), int(score)) for member, score in found]
