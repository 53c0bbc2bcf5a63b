"""All mistakes of all definitions in one run, and what a good catalogue gives."""

import itertools
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from features.definitions.catalog import Catalog, load_catalog
from features.errors import InvalidCatalogError, MissingError

Package = Callable[..., str]
_numbers = itertools.count()
GOOD = """
from features import *
CARD = Entity(name="card", keys=("card",))
PAYMENTS = Source(name="payments", table="raw.payments", event_id="id", known_at="known",
    columns=(*fields("string", "id card"), *fields("int64", "amount"), *fields("timestamp", "event_time known")))
"""
GOOD_VIEWS = """
from features import *
from {package}.sources import CARD, PAYMENTS
CARDS = FeatureView(name="cards", entity=CARD, source=PAYMENTS, features=flat([count("1d 7d"), sum_("amount", "7d")]))
MODEL = FeatureService(name="model", views=(Selection(view="cards", features=("count_7d",)),))
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Package:
    """A package of definitions, each file given by its name; returns the package's name."""

    def write(**files: str) -> str:
        name = f"catalogue_{next(_numbers)}"
        (tmp_path / name).mkdir()
        for file, text in {"__init__": "", **files}.items():
            (tmp_path / name / f"{file}.py").write_text(text.replace("{package}", name))
        monkeypatch.syspath_prepend(str(tmp_path))
        return name

    return write


def problems(package: str) -> list[str]:
    with pytest.raises(InvalidCatalogError) as raised:
        load_catalog(package)
    assert str(raised.value).startswith(f"{len(raised.value.problems)} problem(s) in the definitions:\n  1. ")
    assert all(f"  {n}. {text}" in str(raised.value) for n, text in enumerate(raised.value.problems, 1))
    return list(raised.value.problems)


def test_a_good_catalogue_finds_what_its_modules_define(package: Package) -> None:
    catalog = load_catalog(package(sources=GOOD, views=GOOD_VIEWS))
    assert ([v.name for v in catalog.views], [s.name for s in catalog.services], [s.name for s in catalog.sources]) == (
        ["cards"],
        ["model"],
        ["payments"],
    )
    assert [entity.name for entity in catalog.entities] == ["card"]
    assert catalog.views_of(catalog.service("model")) == ((catalog.view("cards"), ("count_7d",)),)
    assert catalog.source("payments") is catalog.view("cards").source


MADE_OF = """
from features import *
from {package}.sources import CARD, PAYMENTS
SPARE = Source(name="spare", table="raw.spare", columns=(*fields("string", "card"), *fields("timestamp", "event_time")))
DISPUTES = Source(name="disputes", table="raw.disputes", event_id="dispute", known_at="known",
    columns=(*fields("string", "dispute payment"), *fields("timestamp", "event_time known"))).enrich(
    PAYMENTS, on="payment", columns=("card",))
AGAIN = Source(name="again", table="raw.payments", reads="payments", event_id="id", known_at="known", columns=PAYMENTS.columns)
LATE = FeatureView(name="late", entity=CARD, source=AGAIN, features=flat([count("1d")]))
DISPUTED = FeatureView(name="disputed", entity=CARD, source=DISPUTES, features=flat([count("1d")]))
"""


def test_ingested_are_the_tables_behind_views(package: Package) -> None:
    catalog = load_catalog(package(sources=GOOD, made_of=MADE_OF))
    assert {source.name for source in catalog.sources} == {"payments", "spare", "disputes", "again"}
    assert {source.name for source in catalog.ingested} == {"payments", "disputes"}


def test_a_dozen_mistakes_are_told_together(package: Package) -> None:
    name = package(
        sources=GOOD,
        windows="""
from features import *
from {package}.sources import CARD, PAYMENTS
A = FeatureView(name="a", entity=CARD, source=PAYMENTS, features=flat([count(Window("7 days")), sum_("total", "7d")]), remember="36h")
B = FeatureView(name="b", entity=CARD, source=PAYMENTS, features=flat([count("1d"), count("1d")]), freshness=Schedule(period="daily"))
C = FeatureView(name="c", entity=Entity(name="none", keys=()), source=PAYMENTS, features=())
""",
        others="""
from features import *
from {package}.sources import CARD, PAYMENTS
BAD = Source(name="bad", table="bad", columns=fields("timestamp", "event_time"), version="v")
READS = PAYMENTS.derive("reads")
NOBODY = Source(name="nobody", table="a.b", columns=fields("timestamp", "event_time"), reads="ghosts")
TWICE = Source(name="payments", table="raw.again", columns=fields("timestamp", "event_time"))
ONE = FeatureService(name="one", views=("cards", "ghost"))
TWO = FeatureService(name="two", views=(Selection(view="c2", features=("count_1d", "count_9d")),))
THREE = FeatureService(name="three", views=("c2",), policies=(Policy(view="c2", feature="count_8d"),))
C2 = FeatureView(name="c2", entity=CARD, source=PAYMENTS, features=count("1d"))
L = Label(name="l", outcomes=PAYMENTS, of="nope", horizon="1 year")
""",
    )  # fmt: skip
    found = problems(name)
    for part in (
        "Window('7 days')", "feature 'sum_total_7d': there is no column 'total'", "remember='36h' is not whole days", "'count_1d': this name is used twice",
        "Schedule('daily')", "Entity 'none'", "FeatureView 'c': it has no features", "Source 'bad': its table is 'bad'",
        "Source 'bad': version is 'v', which is not among", "Source 'bad': it has a version but no event_id",
        "Source 'nobody': it reads the table of 'ghosts', which is not defined. Define that source, or leave reads away.",
        "Source 'payments': the name is taken by the one at", "FeatureService 'one': there is no view 'cards'. Known: a, b, c, c2.",
        "FeatureService 'one': there is no view 'ghost'", "FeatureService 'two': view 'c2' has no feature 'count_9d'. It has count_1d.",
        "FeatureService 'three': it has a policy for c2.count_8d, which view 'c2' does not have. Name one of its features.",
        "Label 'l': '1 year' is not a duration", "Label 'l': outcomes have no column 'nope'",
    ):  # fmt: skip
        assert [text for text in found if part in text], (part, found)
    assert all(str(Path(name) / "windows.py") in text or str(Path(name) / "others.py") in text for text in found)
    assert len(found) == len(set(found))


@pytest.mark.parametrize(("kind", "again"), [
    ("FeatureView 'cards'", 'X = FeatureView(name="cards", entity=CARD, source=PAYMENTS, features=count("7d"))'),
    ("FeatureService 'model'", 'X = FeatureService(name="model", views=("cards",))'),
    ("Source 'payments'", 'X = Source(name="payments", table="a.b", columns=fields("timestamp", "event_time"))'),
])  # fmt: skip
def test_a_name_taken_twice(package: Package, kind: str, again: str) -> None:
    found = problems(
        package(
            sources=GOOD,
            views=GOOD_VIEWS,
            xtra=f"from features import *\nfrom {{package}}.sources import CARD, PAYMENTS\n{again}\n",
        )
    )
    assert len(found) == 1
    assert f"{kind}: the name is taken by the one at " in found[0]
    assert found[0].endswith("Rename one of them.")


def test_two_labels_of_one_name(package: Package) -> None:
    two = "".join(
        f'L{n} = Label(name="fraud", outcomes=PAYMENTS, events=PAYMENTS, of="id", horizon="{n}0d")\n' for n in (1, 2)
    )
    assert "Label 'fraud': the name is taken" in problems(package(sources=GOOD + two))[0]


def test_no_such_module() -> None:
    with pytest.raises(
        MissingError,
        match=r"There is no module 'no_such_module' with definitions\. Set `catalog` in asof\.toml, or ASOF_CATALOG",
    ):
        load_catalog("no_such_module")


def test_a_module_that_imports_what_is_not_there_is_not_hidden(package: Package) -> None:
    (problem,) = problems(package(broken="import no_such_library"))
    assert "broken.py:1: " in problem
    assert "cannot be imported: ModuleNotFoundError: No module named 'no_such_library'. Mend that line." in problem


@pytest.mark.parametrize(("text", "said"), [
    ("x = 1\ny = (", r"broken\.py:2: .* cannot be imported: SyntaxError: '\(' was never closed"),
    ("x = 1\nprint(1 / 0)", r"broken\.py:2: .* cannot be imported: ZeroDivisionError: division by zero\. Mend that line\."),
    ("from features import Souce", r"broken\.py:1: .* cannot be imported: ImportError: cannot import name 'Souce'"),
])  # fmt: skip
def test_a_module_with_an_error_names_the_line(package: Package, text: str, said: str) -> None:
    (problem,) = problems(package(broken=text))
    assert re.search(said, problem), problem


def test_a_module_that_defines_nothing() -> None:
    with pytest.raises(MissingError, match=r"The module 'textwrap' defines no source and no view\. Set `catalog`"):
        load_catalog("textwrap")


def test_names_that_differ_in_case_only(package: Package) -> None:
    again = 'Q = Source(name="PAYMENTS", table="raw.q", columns=PAYMENTS.columns)\n'
    assert any("Source 'PAYMENTS': the name is taken" in found for found in problems(package(sources=GOOD + again)))


@pytest.mark.parametrize("what", ["view", "service", "source"])
def test_asking_for_a_name_that_is_not_there(what: str) -> None:
    with pytest.raises(
        MissingError, match=rf"There is no {what} 'nope'\. Known: none\. The catalogue's modules define them"
    ):
        getattr(Catalog(), what)("nope")


def test_collecting_ends_with_the_load(package: Package) -> None:
    """A definition made afterwards raises at once again."""
    problems(package(bad="from features import *\nW = Window('x')\n"))
    from features.definitions.windows import Window
    from features.errors import InvalidDefinitionError

    with pytest.raises(InvalidDefinitionError):
        Window("x")


def test_sys_modules_is_left_with_nothing_half_loaded(package: Package) -> None:
    name = package(sources=GOOD)
    load_catalog(name)
    assert f"{name}.sources" in sys.modules
