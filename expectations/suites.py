"""Rules as Great Expectations suites, run: the only module that knows GX. Nothing of it is imported before the first suite runs.

The cheap pass judges all rules of a frame by the one row of metrics that a single Spark aggregation gave; only rules that fail meet the
rows themselves, in a suite of their own on the Spark frame.
"""

import json
import logging
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from importlib import import_module
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from expectations.conditions import quoted, violation
from expectations.overview import write_overview
from expectations.report import Outcome
from expectations.rules import Rule, metric_of

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

__all__ = ["Judged", "examples", "judge", "look_closer", "warm_up", "write_docs"]

Judged = Any
"""A validation result of Great Expectations, for `write_docs`."""
_EXAMPLES = 3
_ONE_AT_A_TIME = Lock()
_CLOSER = 10
"""At most this many failing rules of a frame meet its rows."""


def warm_up() -> None:
    """Import Great Expectations now, for instance while Spark starts: some seconds."""
    _context()


@cache
def _context() -> Any:  # noqa: ANN401 - GX's own
    os.environ["GX_ANALYTICS_ENABLED"] = "false"
    with _silence():
        import great_expectations as gx  # noqa: PLC0415

        context = gx.get_context(mode="ephemeral")
        _without_bars(context)
    return context


def _without_bars(context: Any) -> None:  # noqa: ANN401 - GX's own
    context.variables.progress_bars = {"globally": False}


@contextmanager
def _silence() -> Iterator[None]:
    logger = logging.getLogger("great_expectations")
    logger.setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def judge(name: str, rules: Sequence[Rule], metrics: Mapping[str, float]) -> tuple[tuple[Outcome, ...], Judged]:
    """Each rule's outcome, in the order given. A rule whose metric is missing fails: what is not measured does not pass."""
    import pandas as pd  # noqa: PLC0415

    row = pd.DataFrame([{metric_of(rule): metrics[metric_of(rule)] for rule in rules if metric_of(rule) in metrics}])
    result = _run(name, "metrics", row, [_of_metric(rule, _limits(rule)) for rule in rules])
    failed = {_named(item): _error(item) for item in result.results if not item.success}
    strict = [rule for rule in rules if rule.name in failed and rule.severity == "warn" and rule.hard is not None]
    blocking = {rule.name for rule in rules if rule.name in failed and rule.severity == "block"}
    if strict:
        harder = _run(
            f"{name} blocking", "metrics", row, [_of_metric(rule, rule.hard or (None, None)) for rule in strict]
        )
        blocking |= {_named(item) for item in harder.results if not item.success}
    return tuple(
        Outcome(rule=rule, passed=rule.name not in failed, blocks=rule.name in blocking, observed=metrics.get(metric_of(rule)),
                error=failed.get(rule.name, ""))
        for rule in rules
    ), result  # fmt: skip


def look_closer(name: str, rules: Sequence[Rule], frame: "DataFrame", types: Mapping[str, str]) -> Judged:
    """The failing row rules as native expectations on the Spark frame, with counts and values: for the data docs."""
    chosen = [rule for rule in rules if rule.rows][:_CLOSER]
    columns = [
        f"unix_micros({quoted(column)}) as {quoted(column)}" if kind == "timestamp" else quoted(column)
        for column, kind in types.items()
    ]
    broken = [
        f"coalesce(not ({violation(rule, types)}), true) as {quoted(_flag(rule))}"
        for rule in chosen
        if rule.check in {"slack", "implies"}
    ]
    return _run(
        f"{name} rows",
        "rows",
        frame.selectExpr(*columns, *broken),
        [_of_rows(rule) for rule in chosen],
        result_format="SUMMARY",
    )


def examples(rule: Rule, frame: "DataFrame", types: Mapping[str, str], keys: Sequence[str]) -> tuple[str, ...]:
    """A few rows that break a row rule: their keys and the rule's columns."""
    if rule.check == "unique":
        found = frame.groupBy(*rule.columns).count().where("count > 1")
    else:
        found = frame.where(violation(rule, types)).select(*dict.fromkeys((*keys, *rule.columns)))
    return tuple(
        ", ".join(f"{name}={value}" for name, value in row.asDict().items()) for row in found.limit(_EXAMPLES).collect()
    )


def write_docs(folder: Path, results: Mapping[str, Judged]) -> Path:
    """Data docs of these results in place of earlier ones of the same names; gives the page to open."""
    with _silence():
        import great_expectations as gx  # noqa: PLC0415
        from great_expectations.core.run_identifier import RunIdentifier  # noqa: PLC0415
        from great_expectations.data_context.types.resource_identifiers import (  # noqa: PLC0415
            ExpectationSuiteIdentifier,
            ValidationResultIdentifier,
        )

        folder.mkdir(parents=True, exist_ok=True)
        context = gx.get_context(mode="file", project_root_dir=folder)
        _without_bars(context)
        store: Any = context.validation_results_store
        for key in store.list_keys():
            if key.expectation_suite_identifier.name in results:
                store.remove_key(key)
        run = RunIdentifier(run_name="asof", run_time=datetime.now(UTC))
        made = [ValidationResultIdentifier(ExpectationSuiteIdentifier(name), run, name) for name in results]
        for key, result in zip(made, results.values(), strict=True):
            store.set(key, result)
        # Pages of other results are there already; to make them all anew would cost more with each cut.
        pages = context.build_data_docs(resource_identifiers=made)
        found = {key.expectation_suite_identifier.name: _tally(store, key) for key in store.list_keys()}
    return write_overview(Path(next(iter(pages.values())).removeprefix("file://")).parent, found)


def _tally(store: Any, key: Any) -> tuple[int, int, datetime]:  # noqa: ANN401 - GX's own
    # As it lies there: read as GX's own object, each of its rules would be checked anew.
    statistics = json.loads(store.store_backend.get(key.to_tuple()))["statistics"]
    return int(statistics["evaluated_expectations"]), int(statistics["unsuccessful_expectations"]), key.run_id.run_time


def _run(name: str, source: str, frame: Any, expectations: Sequence[Any], result_format: str = "BOOLEAN_ONLY") -> Any:  # noqa: ANN401 - GX's own
    # One context, and no word of GX's that it may be used by several threads.
    with _ONE_AT_A_TIME, _silence():
        from great_expectations import ExpectationSuite  # noqa: PLC0415

        suite = ExpectationSuite(name=name, expectations=list(expectations))
        batch = _whole(source).get_batch(batch_parameters={"dataframe": frame})
        return batch.validate(suite, result_format=result_format)


@cache
def _whole(source: str) -> Any:  # noqa: ANN401 - GX's own
    """What takes whole data frames, the row of metrics or Spark's rows."""
    sources = _context().data_sources
    # Of the kind spark it would start a session of its own, so it waits until there are rows to look at, and so ours.
    data = sources.add_pandas(source) if source == "metrics" else sources.add_spark(source)
    return data.add_dataframe_asset(source).add_batch_definition_whole_dataframe("all")


def _limits(rule: Rule) -> tuple[float | None, float | None]:
    return (0, 0) if rule.rows else (rule.lower, rule.upper)


def _of_metric(rule: Rule, limits: tuple[float | None, float | None]) -> Any:  # noqa: ANN401 - GX's own
    return _metric_expectation()(column=metric_of(rule), min_value=limits[0], max_value=limits[1], **_words(rule))


@cache
def _metric_expectation() -> Any:  # noqa: ANN401 - GX's own
    gxe = _expectations()
    from pydantic.v1 import PrivateAttr  # noqa: PLC0415 - that of GX

    # The largest of one row is that row, and costs a fifth of a map over its values.
    class ExpectMetricToBeBetween(gxe.ExpectColumnMaxToBeBetween):  # type: ignore[misc, name-defined]
        """A metric within limits. GX asks an expectation for its configuration some 25 times while it judges it, and makes a new one each time."""

        _made: Any = PrivateAttr(default=None)

        @property
        def configuration(self) -> Any:  # noqa: ANN401 - GX's own
            """Made once: nobody changes our expectations."""
            if self._made is None:
                self._made = super().configuration
            return self._made

    return ExpectMetricToBeBetween


def _of_rows(rule: Rule) -> Any:  # noqa: ANN401, PLR0911 - GX's own; one line for each kind
    gxe = _expectations()
    words = _words(rule)
    match rule.check:
        case "unique" if len(rule.columns) == 1:
            return gxe.ExpectColumnValuesToBeUnique(column=rule.columns[0], **words)
        case "unique":
            return gxe.ExpectCompoundColumnsToBeUnique(column_list=list(rule.columns), **words)
        case "not_null":
            return gxe.ExpectColumnValuesToNotBeNull(column=rule.columns[0], **words)
        case "between":
            return gxe.ExpectColumnValuesToBeBetween(
                column=rule.columns[0], min_value=rule.lower, max_value=rule.upper, **words
            )
        case "in_set":
            return gxe.ExpectColumnValuesToBeInSet(column=rule.columns[0], value_set=list(rule.values), **words)
        case "at_least":
            return gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=rule.columns[0],
                column_B=rule.columns[1],
                or_equal=True,
                ignore_row_if="either_value_is_missing",
                **words,
            )
        case _:
            return gxe.ExpectColumnValuesToBeInSet(column=_flag(rule), value_set=[True], **words)


def _expectations() -> Any:  # noqa: ANN401 - GX's own; its names are not exported as mypy wants them
    _context()
    return import_module("great_expectations.expectations")


def _words(rule: Rule) -> dict[str, Any]:
    return {
        "meta": {"rule": rule.name},
        "description": rule.says,
        "severity": "critical" if rule.severity == "block" else "warning",
    }


def _flag(rule: Rule) -> str:
    return f"holds: {rule.name}"


def _named(item: Any) -> str:  # noqa: ANN401 - GX's own
    return str(item.expectation_config.meta["rule"])


def _error(item: Any) -> str:  # noqa: ANN401 - GX's own
    raised = [
        str(each.get("exception_message")) for each in _exceptions(item.exception_info) if each.get("raised_exception")
    ]
    return f"it could not be evaluated: {raised[0].splitlines()[0]}" if raised else ""


def _exceptions(info: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """GX gives either one record, or one for each metric."""
    return [] if not info else [info] if "raised_exception" in info else list(info.values())
