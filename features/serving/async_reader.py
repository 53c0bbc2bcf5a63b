"""Lookups for programs that run an event loop: the reader in threads, each with a connection of its own."""

import asyncio
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self, TypeVar

from features.definitions.catalog import Catalog
from features.serving.reader import Reader, Result
from features.serving.warm import warm
from features.settings import Settings

__all__ = ["AsyncReader"]

T = TypeVar("T")


class AsyncReader:
    """As many lookups at once as it has threads; close it, or use it in an `async with` block."""

    def __init__(self, settings: Settings, catalog: Catalog) -> None:
        self._settings, self._catalog = settings, catalog
        self._mine = threading.local()
        self._readers: list[Reader] = []
        self._threads = ThreadPoolExecutor(settings.serving.threads, thread_name_prefix="lookup")

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

    async def lookup(self, service: str, keys: Sequence[Mapping[str, object]], at: int | None = None) -> Result:
        """See `Reader.lookup`."""
        return await self.run(lambda reader: reader.lookup(service, keys, at))

    async def lookup_features(
        self, features: Mapping[str, Sequence[str]], keys: Sequence[Mapping[str, object]], at: int | None = None
    ) -> Result:
        """See `Reader.lookup_features`."""
        return await self.run(lambda reader: reader.lookup_features(features, keys, at))

    async def warm(self) -> None:
        """Compiles what lookups run: the first one then takes no longer than the next."""
        await self.run(lambda _: warm(self._catalog.views))

    async def run(self, work: Callable[[Reader], T]) -> T:
        """Any work with a reader, in one of the threads."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, lambda: work(self._reader()))

    def _reader(self) -> Reader:
        """This thread's own."""
        if not hasattr(self._mine, "reader"):
            self._mine.reader = Reader(self._settings, self._catalog)
            self._readers.append(self._mine.reader)
        reader: Reader = self._mine.reader
        return reader
