"""Whether an aggregate gives its operation what it takes: inputs, parameters, a window."""

from collections.abc import Iterator

from features.definitions.aggregations import AGGREGATIONS, Aggregation
from features.definitions.expressions import type_of
from features.definitions.features import Aggregate
from features.definitions.sources import Source

__all__ = ["operation_problems"]


def operation_problems(feature: Aggregate, source: Source, remember: int) -> list[tuple[str, str]]:
    """Problems, each with its remedy. `remember` is the length of "ever", in microseconds."""
    aggregation = AGGREGATIONS.get(feature.operation)
    if aggregation is None:
        return [(f"there is no aggregation {feature.operation!r}.", f"There are {', '.join(AGGREGATIONS)}.")]
    return [
        *_input_problems(feature, aggregation, source),
        *_parameter_problems(feature, aggregation),
        *_window_problems(feature, aggregation, remember),
    ]


def _input_problems(feature: Aggregate, aggregation: Aggregation, source: Source) -> Iterator[tuple[str, str]]:
    types, wanted = source.types, len(aggregation.takes)
    if wanted == 1 and not feature.inputs and feature.column not in types:
        yield (
            f"there is no column {feature.column!r} in source {source.name!r}.",
            f"Use one of {sorted(types)}.",
        )
        return
    if len(feature.reads) != wanted:
        yield f"{feature.operation} takes {wanted} inputs and got {len(feature.reads)}.", "Give it as many columns."
        return
    if feature.inputs and (aggregation.kernel or aggregation.gives == "column"):
        yield f"{feature.operation} takes a column and got an expression.", "Give it a column."
    for place, (node, takes) in enumerate(zip(feature.reads, aggregation.takes, strict=True)):
        try:
            kind = type_of(node, types)
        except ValueError as error:
            yield f"its input is wrong: {error}", "Mend the expression."
            continue
        if kind not in takes:
            hint = " Declare a scale, so that it becomes an exact integer." if kind == "float64" else ""
            shown = repr(feature.column) if feature.column and place == 0 else str(node)
            yield f"{feature.operation} of {shown}, which is {kind}.", f"It takes {sorted(takes)}.{hint}"


def _parameter_problems(feature: Aggregate, aggregation: Aggregation) -> Iterator[tuple[str, str]]:
    if "limit" in aggregation.parameters and (feature.limit is None or feature.limit < 1):
        yield f"its limit is {feature.limit}.", "Give a positive limit."
    given, wanted = dict(feature.parameters), tuple(part.name for part in aggregation.given)
    if tuple(given) != wanted:
        yield f"{feature.operation} got the parameters {tuple(given)}.", f"It takes {wanted}, in this order."
        return
    for part in aggregation.given:
        value = given[part.name]
        whole = isinstance(value, int) or not part.whole
        if not whole or not part.least <= value <= part.most:
            kind = "a whole number" if part.whole else "a number"
            yield f"its {part.name} is {value!r}.", f"Give {kind} from {part.least:g} to {part.most:g}."


def _window_problems(feature: Aggregate, aggregation: Aggregation, remember: int) -> Iterator[tuple[str, str]]:
    if aggregation.stepped and feature.window.step_us == 1:
        yield (
            f"{feature.operation} counts by the step of its window, and {feature.window.label} has exact edges.",
            "Give the window a step: Window('1h', step='1m').",
        )
    if aggregation.reach is not None and not list(_parameter_problems(feature, aggregation)):
        longest = aggregation.reach(*feature.arguments(aggregation))
        if (feature.window.length_us or remember) > longest:
            yield (
                f"its window {feature.window.label} is longer than {feature.operation} reaches, {longest / 86_400_000_000:g} days.",
                "Shorten the window, or leave it away.",
            )
