"""Four weeks of about 1,000 payments a day, simulated once for all tests that only look."""

from pathlib import Path

import pandas as pd
import pytest

from jobs.simulate import Report, simulate
from tests.jobs.simulate.landed import DAYS, START, table


@pytest.fixture(scope="session")
def landed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Report]:
    out = tmp_path_factory.mktemp("simulated")
    return out, simulate(out, start=START, days=DAYS, scale=0.05, seed=11)


@pytest.fixture(scope="session")
def payments(landed: tuple[Path, Report]) -> pd.DataFrame:
    rows: pd.DataFrame = table(landed[0], "payments").to_pandas()
    return rows


@pytest.fixture(scope="session")
def disputes(landed: tuple[Path, Report]) -> pd.DataFrame:
    rows: pd.DataFrame = table(landed[0], "disputes").to_pandas()
    return rows
