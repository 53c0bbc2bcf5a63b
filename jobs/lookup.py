"""`asof lookup`: the values of one key as the online service gives them. Neither Spark nor Feast."""

import json

from rich.console import Console
from rich.table import Table

from features.definitions.catalog import Catalog, load_catalog
from features.definitions.names import cut_text, micros, utc
from features.errors import InputError
from features.serving.reader import Reader, Result, ViewValues
from features.settings import Settings
from features.store.values import Cell
from jobs.commands import Exit, Lookup
from jobs.stages import say

__all__ = ["run"]


def run(command: Lookup, settings: Settings) -> int:
    """Prints value, status and age of each feature.

    Raises:
        InputError: a key given twice, and whatever `Reader.lookup` refuses.
    """
    catalog = load_catalog(settings.catalog)
    names = [name for name, _ in command.keys]
    if len(set(names)) != len(names):
        msg = f"The key gives {', '.join(sorted({name for name in names if names.count(name) > 1}))} twice. Give each column once."
        raise InputError(msg)
    with Reader(settings, catalog) as reader:
        result = reader.lookup(
            command.service, [dict(command.keys)], None if command.at is None else micros(command.at)
        )
    if command.output == "json":
        say(json.dumps(_record(result), indent=1))
    else:
        _show(result, catalog)
    return Exit.OK


def _record(result: Result) -> dict[str, object]:
    (row,) = result.rows
    features = [
        {
            "view": view.view,
            "feature": name,
            "value": value,
            "status": view.status,
            "age_us": view.age,
            "cut": cut_text(view.cut),
        }
        for view in row.views
        for name, value in view.values.items()
    ]
    return {"service": result.service, "at": utc(result.at).isoformat(), "key": dict(row.key), "features": features}


def _show(result: Result, catalog: Catalog) -> None:
    (row,) = result.rows
    console = Console(highlight=False)
    key = ", ".join(f"{name}={value}" for name, value in row.key.items())
    table = Table(title=f"{result.service} of {key} at {utc(result.at).isoformat()}", title_justify="left")
    for name in ("feature", "value", "status", "age"):
        table.add_column(name, justify="right" if name == "value" else "left", overflow="fold")
    for view in row.views:
        types = catalog.view(view.view).types
        for name, value in view.values.items():
            table.add_row(
                f"{view.view}__{name}", _text(value, is_instant=types[name] == "timestamp"), view.status, _age(view)
            )
    console.print(table)


def _text(value: Cell, *, is_instant: bool) -> str:
    if value is None:
        return "null"
    if is_instant and isinstance(value, int):
        return utc(value).isoformat()
    return str(value)


def _age(view: ViewValues) -> str:
    seconds = view.age // 1_000_000
    days, rest = divmod(seconds, 86_400)
    clock = f"{rest // 3600:02}:{rest // 60 % 60:02}:{rest % 60:02}"
    return f"{days}d {clock}" if days else clock
