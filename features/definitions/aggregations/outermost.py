"""The oldest and the newest value, of any type: texts have no number, so their codes are kept."""

from features.definitions.aggregations.aggregation import ANY, Aggregation, Ends, State

__all__ = ["FIRST", "LAST"]

Words = list[int]
# Whether there is a value, and its code.
SEEN, CODE, WIDTH = range(3)


def width(kinds: int) -> int:
    """Two words."""
    return WIDTH


def zero(state: Words) -> None:
    """No rows."""
    for word in range(WIDTH):
        state[word] = 0


def add_first(state: Words, time: int, value: int) -> None:
    """The first stays."""
    if state[SEEN] == 0:
        state[CODE] = value
    state[SEEN] = 1


def add_last(state: Words, time: int, value: int) -> None:
    """The last takes the place of the one before."""
    state[CODE] = value
    state[SEEN] = 1


def merge_first(state: Words, later: Words) -> None:
    """The later rows' first is the first of all where there is none here."""
    if later[SEEN] == 1:
        add_first(state, 0, later[CODE])


def merge_last(state: Words, later: Words) -> None:
    """The later rows' last, if there is one."""
    if later[SEEN] == 1:
        add_last(state, 0, later[CODE])


def finish(state: Words, ends: Ends) -> tuple[int, bool]:
    """The code, if there is one."""
    return state[CODE], state[SEEN] == 1


FIRST = Aggregation(
    name="first",
    says="Oldest value.",
    takes=(ANY,),
    gives="column",
    empty="null",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add_first, merge=merge_first, finish=finish, value="code"),
)
LAST = Aggregation(
    name="last",
    says="Newest value.",
    takes=(ANY,),
    gives="column",
    empty="null",
    kernel=True,
    state=State(words="int64", width=width, zero=zero, add=add_last, merge=merge_last, finish=finish, value="code"),
)
