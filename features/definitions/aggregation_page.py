"""docs/aggregations.md, made from the registry: `python -m features.definitions.aggregation_page > docs/aggregations.md`."""

import sys
from pathlib import Path

from features.definitions.aggregations import AGGREGATIONS
from features.definitions.aggregations.aggregation import Aggregation, Parameter
from features.definitions.tiling import kept_as

__all__ = ["page"]

_HEAD = """# Aggregations
Made from `features/definitions/aggregations/` by `python -m features.definitions.aggregation_page > docs/aggregations.md`; a test keeps it fresh.
Rows with an input that is null, NaN or infinite are skipped. `merge`: states of consecutive stretches of time join, wherever they were made. `remove`: a row can leave again. Where it says
`integers`, rows of a float column cannot: 1e16 would take the small amounts with it. `tiles`: what tiles hold, from which the value for any grouping of keys follows (docs/tiles.md).

| name | value | takes | gives | parameters | empty | null | merge | remove | tiles | error |
|---|---|---|---|---|---|---|---|---|---|---|
"""
_TAIL = """
## Add your own
Put one file into `features/definitions/aggregations/`; nothing else has to know. The functions are plain Python: numbers, loops, `math` and helpers of the
same file. numba compiles them, and frames, snapshots and lookups use them. Features name it: `aggregate("burst", over="1h 24h")`, with
`column=` or `inputs=` for what it takes and `parameters={...}` for its numbers, in their order. If rows, and states of other keys, may be merged into its state in any
order, give the state as `tiles=` too: then tiles hold it, and `asof stats` answers with it for any grouping of keys. Tiles that were built keep the words as they were: whoever
changes what these mean gives the aggregation another name. Without `tiles=` tiles hold what it reads of the rows themselves; `newest=` says how many of the newest rows decide the value,
`ordered=False` that only how often each value came does, which takes less room. This is all of `burst.py`:

```python
"""


def page() -> str:
    """The page's text."""
    own = (Path(__file__).parent / "aggregations" / "burst.py").read_text(encoding="utf-8")
    return _HEAD + "".join(_line(item) for item in AGGREGATIONS.values()) + _TAIL + own + "```\n"


def _line(item: Aggregation) -> str:
    takes = ", ".join("any" if len(kinds) == 5 else " or ".join(sorted(kinds)) for kinds in item.takes) or "rows"  # noqa: PLR2004
    chosen = ", ".join(_shown(part) for part in item.parameters) or "none"
    cells = (item.name, item.says, takes, item.gives, chosen, item.empty, item.nulls,
             "yes" if item.mergeable else "no", _removes(item), kept_as(item), item.error)  # fmt: skip
    return f"| {' | '.join(cells)} |\n"


def _removes(item: Aggregation) -> str:
    if not item.removable:
        return "no"
    return "yes" if item.of_floats is None or item.of_floats.remove is not None else "integers"


def _shown(part: str | Parameter) -> str:
    if isinstance(part, Parameter):
        return f"{part.name} ({part.least:g} to {part.most:g})"
    return "the window's step" if part == "step" else "limit (from 1)"


if __name__ == "__main__":
    sys.stdout.write(page())
