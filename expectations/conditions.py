"""A row rule as the SQL condition of the rows that break it: text, so that one aggregation counts all rules at once."""

from collections.abc import Mapping

from expectations.rules import Rule
from features.errors import InputError

__all__ = ["quoted", "violation"]


def quoted(name: str) -> str:
    """A column's name in Spark SQL."""
    return "`" + name.replace("`", "``") + "`"


def violation(rule: Rule, types: Mapping[str, str]) -> str:
    """True for a row that breaks the rule, false or null for all others. Instants are compared in microseconds.

    Args:
        rule: Any row rule but `unique`, which no single row breaks.
        types: Column name to declared type.

    Raises:
        InputError: the rule is about a column that the frame does not have, or is of a kind that no row decides.
    """
    if missing := [name for name in rule.columns if name not in types]:
        msg = f"The rule {rule.name!r} is about {missing[0]!r}, which is not among {sorted(types)[:20]}. Correct the rule or the definition."
        raise InputError(msg)
    if rule.check in {"unique", "metric"}:
        msg = f"The rule {rule.name!r} is of kind {rule.check!r}, which no single row decides. Count it over the whole frame."
        raise InputError(msg)
    columns = [_number(name, types[name]) for name in rule.columns]
    return _condition(rule, columns)


def _condition(rule: Rule, columns: list[str]) -> str:
    match rule.check:
        case "between":
            return _between(rule, columns[0])
        case "not_null":
            return f"{columns[0]} is null"
        case "in_set":
            values = ", ".join("'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'" for value in rule.values)
            return f"{columns[0]} not in ({values})"
        case "at_least":
            return f"{columns[0]} < {columns[1]}"
        case "slack":
            first, second = (f"cast({column} as double)" for column in columns)
            return f"{first} < {second} - {_literal(rule.upper)} * greatest(abs({first}), abs({second}))"
        case _:
            return f"{columns[0]} is not null and {columns[1]} is null"


def _between(rule: Rule, column: str) -> str:
    """Without any bound no row breaks it."""
    lower = [f"{column} < {_literal(rule.lower)}"] if rule.lower is not None else []
    upper = [f"{column} > {_literal(rule.upper)}"] if rule.upper is not None else []
    return " or ".join(lower + upper) or "false"


def _number(name: str, kind: str) -> str:
    return f"unix_micros({quoted(name)})" if kind == "timestamp" else quoted(name)


def _literal(bound: float | None) -> str:
    """Whole numbers stay exact integers; others become doubles, never decimals that round."""
    if bound is None:
        return "null"
    return str(int(bound)) if float(bound).is_integer() else f"double('{bound!r}')"
