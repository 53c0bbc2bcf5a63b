"""How many different values, up to a limit: the most recently seen ones with their last time (semantics 5)."""

from features.definitions.aggregations.aggregation import ANY, Aggregation, Ends, State

__all__ = ["DISTINCT"]

Words = list[int]
# How many items are kept, then the hash and the last time of each, the longest unseen one first.
KEPT, ITEMS, HASH, TIME, SIZE = 0, 1, 0, 1, 2
# Of tiles: how many hashes are kept, then these in ascending order; where there are more than the limit, the smallest.


def width(kinds: int, limit: int) -> int:
    """Two words an item. No more are kept than there are different values, so a large limit takes no room of its own."""
    return ITEMS + SIZE * min(limit, kinds)


def zero(state: Words, limit: int) -> None:
    """No rows."""
    for word in range(len(state)):
        state[word] = 0


def add(state: Words, time: int, value: int, limit: int) -> None:
    """The newest item. It leaves its former place; a new one takes the place of the longest unseen where the limit is reached."""
    kept, at = state[KEPT], 0
    while at < kept and state[ITEMS + SIZE * at + HASH] != value:
        at += 1
    if at == kept and kept < limit:
        kept += 1
        state[KEPT] = kept
    elif at == kept:
        at = 0
    for word in range(ITEMS + SIZE * at, ITEMS + SIZE * (kept - 1)):
        state[word] = state[word + SIZE]
    newest = ITEMS + SIZE * (kept - 1)
    state[newest + HASH] = value
    state[newest + TIME] = time


def merge(state: Words, later: Words, limit: int) -> None:
    """The later items, the longest unseen one first, as if they were rows: what the later rows dropped would leave here too."""
    for item in range(later[KEPT]):
        place = ITEMS + SIZE * item
        add(state, later[place + TIME], later[place + HASH], limit)


def finish(state: Words, ends: Ends, limit: int) -> tuple[int, bool]:
    """The items seen since the window's start: so one state serves all windows that end where it ends."""
    found = 0
    for item in range(state[KEPT]):
        if state[ITEMS + SIZE * item + TIME] >= ends.lower:
            found += 1
    return found, True


def width_of_set(kinds: int, limit: int) -> int:
    """A word a hash, and how many."""
    return ITEMS + min(limit, kinds)


def add_to_set(state: Words, time: int, value: int, limit: int) -> None:
    """At its place, if it is not there."""
    low, high = ITEMS, ITEMS + state[KEPT]
    while low < high:
        middle = (low + high) // 2
        if state[middle] < value:
            low = middle + 1
        else:
            high = middle
    end = ITEMS + state[KEPT]
    if (low < end and state[low] == value) or low == ITEMS + limit:
        return
    if end == ITEMS + limit:
        end -= 1
    for word in range(end, low, -1):
        state[word] = state[word - 1]
    state[low] = value
    state[KEPT] = end + 1 - ITEMS


def merge_sets(state: Words, later: Words, limit: int) -> None:
    """The smallest of both: first how many come from each, then from the largest down, so that nothing is overwritten before it is read."""
    mine, other, made = 0, 0, 0
    while made < limit and (mine < state[KEPT] or other < later[KEPT]):
        from_here = other == later[KEPT] or (mine < state[KEPT] and state[ITEMS + mine] <= later[ITEMS + other])
        from_there = mine == state[KEPT] or (other < later[KEPT] and later[ITEMS + other] <= state[ITEMS + mine])
        mine += 1 if from_here else 0
        other += 1 if from_there else 0
        made += 1
    state[KEPT] = made
    while other > 0:
        made -= 1
        if mine > 0 and state[ITEMS + mine - 1] >= later[ITEMS + other - 1]:
            if state[ITEMS + mine - 1] == later[ITEMS + other - 1]:
                other -= 1
            mine -= 1
            state[ITEMS + made] = state[ITEMS + mine]
        else:
            other -= 1
            state[ITEMS + made] = later[ITEMS + other]


def size_of_set(state: Words, ends: Ends, limit: int) -> tuple[int, bool]:
    """All that are kept."""
    return state[KEPT], True


DISTINCT = Aggregation(
    name="distinct",
    says="Different values, up to a limit.",
    takes=(ANY,),
    gives="int64",
    empty="0",
    nulls="never null",
    parameters=("limit",),
    error="exact up to the limit, saturating there",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=finish, value="hash"),
    tiles=State(words="int64", width=width_of_set, zero=zero, add=add_to_set, merge=merge_sets, finish=size_of_set, value="hash"),
)  # fmt: skip
