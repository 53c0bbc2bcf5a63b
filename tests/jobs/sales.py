"""Days of sales as CSV files, bad ones among them, a home for what they become, and what is said of them."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from features.definitions.catalog import load_catalog
from features.definitions.sources import Source
from features.errors import InputError
from features.settings import Settings
from jobs import ingest

__all__ = ["CATALOG", "HEADER", "REFUNDS", "SALES", "home", "known", "land", "own", "refused", "sale", "stored"]

CATALOG = "tests.jobs.catalogue_of_bad_input"
SALES, REFUNDS = (load_catalog(CATALOG).source(name) for name in ("bad_sales", "bad_refunds"))
HEADER = "sale,shop,amount,event_time,known"


@pytest.fixture(scope="module")
def home(spark_settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A ledger and tables of its own, on the run's one Spark."""
    return spark_settings.model_copy(update={"catalog": CATALOG, "home": tmp_path_factory.mktemp("bad_input")})


def own(name: str, **more: Any) -> Source:
    """A source like bad_sales, with a table of its own."""
    return replace(SALES, name=name, table=f"bad_input.{name}", **more)


def sale(name: str, day: int = 1, *, shop: str = "s1", amount: str = "1.00", hour: int = 10) -> str:
    at = f"2026-03-{day:02d}T{hour:02d}:00:00Z"
    return f"{name},{shop},{amount},{at},{at}"


def known(name: str, at: str, *, amount: str = "1.00", happened: str = "2026-03-01T10:00:00Z") -> str:
    return f"{name},s1,{amount},{happened},{at}"


def land(folder: Path, days: dict[int, list[str]], header: str = HEADER) -> str:
    for day, rows in days.items():
        path = folder / f"ds=2026-03-{day:02d}" / "part-0.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join([header, *rows]) + "\n")
    return str(folder)


def stored(spark: SparkSession, source: Source) -> list[tuple[Any, ...]]:
    """(sale, shop, amount, operation, ds), sorted."""
    rows = spark.table(source.table).select(source.columns[0].name, "shop", "amount", "asof_op", "ds").collect()
    return sorted((tuple(row) for row in rows), key=repr)


def refused(
    spark: SparkSession, home: Settings, source: Source, path: str, kind: type[InputError] = InputError, **more: Any
) -> str:
    with pytest.raises(kind) as caught:
        ingest.ingest(spark, home, source, path, **more)
    assert type(caught.value) is kind
    return str(caught.value)
