"""The newest values, each by its rank, and how long ago each was."""

from features.definitions.aggregations.aggregation import ANY, Aggregation, Ends, Parameter, State

__all__ = ["LAST_K", "TIME_SINCE_LAST_K"]

Words = list[int]
# Rows, then a ring of the newest values and one of their instants.
ROWS, RING = 0, 1


def width(kinds: int, rank: int) -> int:
    """Two words a rank, and the rows."""
    return RING + 2 * rank


def zero(state: Words, rank: int) -> None:
    """No rows."""
    for word in range(RING + 2 * rank):
        state[word] = 0


def add(state: Words, time: int, value: int, rank: int) -> None:
    """In place of the oldest one that is kept."""
    place = RING + state[ROWS] % rank
    state[place] = value
    state[place + rank] = time
    state[ROWS] += 1


def merge(state: Words, later: Words, rank: int) -> None:
    """The later rows' newest, oldest first, as if added here; the ring stands as it would for all rows."""
    kept = min(later[ROWS], rank)
    skipped = later[ROWS] - kept
    state[ROWS] += skipped
    for place in range(skipped, later[ROWS]):
        at = RING + place % rank
        add(state, later[at + rank], later[at], rank)


def newest(state: Words, ends: Ends, rank: int) -> tuple[int, bool]:
    """The oldest that is kept is the one of the rank."""
    return state[RING + state[ROWS] % rank], state[ROWS] >= rank


def since(state: Words, ends: Ends, rank: int) -> tuple[int, bool]:
    """From its instant to the anchor."""
    return ends.anchor - state[RING + rank + state[ROWS] % rank], state[ROWS] >= rank


def needed(rank: int) -> int:
    """As many rows as the rank."""
    return rank


def width_of_instants(rows: int, rank: int) -> int:
    """The newest instants, as many as the rank, and the rows."""
    return RING + rank


def zero_of_instants(state: Words, rank: int) -> None:
    """No rows."""
    for word in range(RING + rank):
        state[word] = 0


def add_instant(state: Words, time: int, value: int, rank: int) -> None:
    """Among the newest, in ascending order."""
    kept = min(state[ROWS], rank)
    state[ROWS] += 1
    if kept == rank:
        if time <= state[RING]:
            return
        for word in range(RING, RING + kept - 1):
            state[word] = state[word + 1]
        kept -= 1
    place = RING + kept
    while place > RING and state[place - 1] > time:
        state[place] = state[place - 1]
        place -= 1
    state[place] = time


def merge_instants(state: Words, other: Words, rank: int) -> None:
    """The newest of both."""
    kept, rows = min(other[ROWS], rank), state[ROWS] + other[ROWS]
    for word in range(RING, RING + kept):
        add_instant(state, other[word], 0, rank)
    state[ROWS] = rows


def since_instant(state: Words, ends: Ends, rank: int) -> tuple[int, bool]:
    """From the oldest that is kept to the anchor."""
    return ends.anchor - state[RING], state[ROWS] >= rank


_RANK = (Parameter(name="rank", least=1, most=100, whole=True),)
LAST_K = Aggregation(
    name="last_k",
    says="The newest value but rank - 1: rank 1 is the newest.",
    takes=(ANY,),
    gives="column",
    empty="null",
    nulls="null where there are fewer values",
    parameters=_RANK,
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=newest, value="code"),
    newest=needed,
)
TIME_SINCE_LAST_K = Aggregation(
    name="time_since_last_k",
    says="Microseconds from the newest value but rank - 1 to the anchor.",
    takes=(ANY,),
    gives="int64",
    empty="null",
    nulls="null where there are fewer values",
    parameters=_RANK,
    state=State(words="int64", width=width, zero=zero, add=add, merge=merge, finish=since, value="code"),
    tiles=State(
        words="int64", width=width_of_instants, zero=zero_of_instants, add=add_instant, merge=merge_instants, finish=since_instant, value="hash",
    ),
)  # fmt: skip
