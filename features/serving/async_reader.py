"""Lookups for programs that run an event loop: few keys of one Redis server in the loop itself, all else by readers in threads."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self, TypeVar

import pyarrow as pa

from features.definitions.catalog import Catalog
from features.serving.reader import Chosen, Lookup, Reader, Result
from features.serving.warm import warm
from features.settings import Settings
from features.store.reads import Answer
from features.store.redis_async import AsyncRedisStore
from features.store.stores import redis_url

__all__ = ["AsyncReader"]

_FEW = 16
"""Keys that are looked up in the loop: handing them to a thread costs more than they do, and nobody waits long for them."""

T = TypeVar("T")


class AsyncReader:
    """Of one event loop. As many lookups of many keys at once as it has threads; close it, or use it in an `async with` block."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self._mine = threading.local()
        self._readers: list[Reader] = []
        self._threads = ThreadPoolExecutor(settings.serving.threads, thread_name_prefix="lookup")
        self._here = Reader(settings, catalog)
        self._store: AsyncRedisStore | None = None
        self._stateful = any(view.stateful for view in catalog.views)
        self._warm = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Lets what runs end, and ends the connections."""
        self._threads.shutdown()
        for reader in self._readers:
            reader.close()
        if self._store is not None:
            self._store.close()

    async def lookup(self, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        """See `Reader.lookup`."""
        found = self.begun(self.of_service(service), keys, at, service)
        return found if isinstance(found, Result) else await found

    async def lookup_features(
        self, features: Mapping[str, Sequence[str]], keys: Sequence[Mapping[str, object]], at: int | None = None
    ) -> Result:
        """See `Reader.lookup_features`."""
        found = self.begun(self.of_features(features), keys, at)
        return found if isinstance(found, Result) else await found

    def of_service(self, service: str) -> Chosen:
        """See `Reader.of_service`."""
        return self._here.of_service(service)

    def of_features(self, features: Mapping[str, Sequence[str]]) -> Chosen:
        """See `Reader.of_features`."""
        return self._here.of_features(features)

    def begun(
        self, chosen: Chosen, keys: Sequence[Mapping[str, object]], at: int | None, service: str = ""
    ) -> Result | Coroutine[Any, Any, Result]:
        """A lookup of what was chosen: the result where the store answered at once, else who waits for it."""
        if not self._is_quick(keys):
            return self.run(lambda reader: reader.look_up(chosen, keys, at, service))
        if self._store is None:
            self._store = AsyncRedisStore(redis_url(self._settings))
        lookup = self._here.begun(chosen, keys, at)
        found = self._store.begun(lookup.questions)
        if isinstance(found, Coroutine):
            return self._rest(chosen, lookup, found, service)
        return chosen.result(service, lookup, found)

    def table(self, found: Result) -> pa.Table:
        """See `Reader.table`."""
        return self._here.table(found)

    async def warm(self) -> None:
        """Compiles what lookups run: the first one then takes no longer than the next."""
        await self.run(lambda _: warm(self._catalog.views))
        self._warm = True

    async def run(self, work: Callable[[Reader], T]) -> T:
        """Any work with a reader, in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(self._reader()))

    def _is_quick(self, keys: Sequence[Mapping[str, object]]) -> bool:
        """What must be compiled first would hold up the loop for seconds."""
        is_compiled = self._warm or not self._stateful
        return len(keys) <= _FEW and is_compiled and self._settings.online.kind == "redis"

    async def _rest(self, chosen: Chosen, lookup: Lookup, coming: Awaitable[Sequence[Answer]], service: str) -> Result:
        return chosen.result(service, lookup, await coming)

    def _reader(self) -> Reader:
        """This thread's own."""
        if not hasattr(self._mine, "reader"):
            self._mine.reader = Reader(self._settings, self._catalog)
            self._readers.append(self._mine.reader)
        reader: Reader = self._mine.reader
        return reader
