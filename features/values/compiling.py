"""An aggregation's functions as machine code: its file is compiled by numba as it stands, helpers and all, and made anew when the file changes."""

from collections.abc import Callable
from functools import cache
from importlib import import_module
from types import FunctionType
from typing import Any, cast

from numba import njit

from features.definitions.aggregations.aggregation import Aggregation, Ends, State

__all__ = ["compiled"]


@cache
def compiled(over: Callable[..., None], aggregation: Aggregation, state: State) -> Callable[..., Any]:
    """A function of the engine over one state's `state_zero`, `state_add`, `state_merge` and `state_finish`. The machine code is kept beside the aggregation's file.

    It poses as code of that file, whose change then makes numba forget it.
    """
    template, module = cast("FunctionType", over), import_module(state.add.__module__)
    names: dict[str, Any] = {**vars(module), "Ends": Ends}
    for name, held in list(names.items()):
        if isinstance(held, FunctionType) and held.__module__ == module.__name__:
            names[name] = njit(FunctionType(held.__code__, names, name, held.__defaults__))
    functions = {"zero": state.zero, "add": state.add, "merge": state.merge, "finish": state.finish}
    for name, function in functions.items():
        names[f"state_{name}"] = names[function.__name__]
    which = "of_floats" if state is aggregation.of_floats else "of_tiles" if state is not aggregation.state else ""
    called = "_".join(part for part in (template.__name__.removeprefix("_"), "of", aggregation.name, which) if part)
    code = template.__code__.replace(co_filename=str(module.__file__), co_name=called, co_qualname=called)
    made: Callable[..., Any] = njit(cache=True)(FunctionType(code, names, called))
    return made
