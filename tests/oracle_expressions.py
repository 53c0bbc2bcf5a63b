"""Row expressions of semantics 4, for the oracle."""

from collections.abc import Mapping
from typing import Any

from features.definitions import expressions as e
from tests import oracle_texts

__all__ = ["INT64", "evaluate"]

DAY = 86_400_000_000
INT64 = range(-(2**63), 2**63)
Row = Mapping[str, Any]


def evaluate(node: e.Expression, row: Row) -> Any:  # noqa: C901, PLR0911, PLR0912
    """SQL's three-valued logic."""
    match node:
        case e.Column(name):
            return row[name]
        case e.Value(value):
            return value
        case e.Both(left, right):
            x, y = evaluate(left, row), evaluate(right, row)
            return False if x is False or y is False else None if x is None or y is None else True
        case e.Either(left, right):
            x, y = evaluate(left, row), evaluate(right, row)
            return True if x is True or y is True else None if x is None or y is None else False
        case e.Negation(of):
            x = evaluate(of, row)
            return None if x is None else not x
        case e.IsNull(of):
            return evaluate(of, row) is None
        case e.IsIn(of, values):
            x = evaluate(of, row)
            return None if x is None else any(left == right for left, right in (numbers(x, value) for value in values))
        case e.Prefix(of, prefix):
            x = evaluate(of, row)
            return None if x is None else x.startswith(prefix)
        case e.Subnet(of):
            return oracle_texts.network(evaluate(of, row))
        case e.DigitShare(of):
            x = evaluate(of, row)
            return len([letter for letter in x if "0" <= letter <= "9"]) / len(x) if x else None
        case e.Likeness(of, others, words):
            return oracle_texts.likeness(evaluate(of, row), [evaluate(other, row) for other in others], words=words)
        case e.Hour(of):
            x = evaluate(of, row)
            return None if x is None else x // 3_600_000_000 % 24
        case e.Weekday(of):
            x = evaluate(of, row)
            return None if x is None else (x // DAY + 3) % 7
        case e.Case(branches, otherwise):
            return next(
                (evaluate(value, row) for condition, value in branches if evaluate(condition, row) is True),
                evaluate(otherwise, row),
            )
        case e.Compare(op, left, right) | e.Arithmetic(op, left, right):
            x, y = evaluate(left, row), evaluate(right, row)
            if x is None or y is None or (op == "/" and y == 0):
                return None
            x, y = numbers(x, y)
            made = {
                "==": lambda: x == y, "!=": lambda: x != y, "<": lambda: x < y, "<=": lambda: x <= y, ">": lambda: x > y,
                ">=": lambda: x >= y, "+": lambda: x + y, "-": lambda: x - y, "*": lambda: x * y, "/": lambda: float(x) / float(y),
            }[op]()  # type: ignore[no-untyped-call]  # fmt: skip
            return None if isinstance(made, int) and not isinstance(made, bool) and made not in INT64 else made
    raise AssertionError(node)


def numbers(x: Any, y: Any) -> tuple[Any, Any]:
    """An integer beside a float is one."""
    return (float(x), float(y)) if isinstance(x, float) != isinstance(y, float) else (x, y)
