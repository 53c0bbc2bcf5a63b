"""What a report is of, and where it is written: an HTML page with its pictures inside, and its numbers as JSON beside it. No Spark."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from features.definitions.catalog import Catalog
from features.definitions.services import Label
from jobs.files import write_text
from jobs.report.page import report_page

__all__ = ["SERVICES", "beside", "disputed", "write"]

SERVICES: Final = ("radar_v1", "identity_v1", "fraud_v1")


def disputed(catalog: Catalog) -> Label:
    """Whether a payment was disputed within thirty days, for whatever reason: what the rates of `merchant_risk` and `bin_fraud` count."""
    return replace(
        catalog.label("fraud"), name="disputed_30d", horizon="30d", positive=None, description="Disputed within thirty days, for whatever reason."
    )  # fmt: skip


def beside(out: str) -> str:
    """The JSON of a page."""
    return str(Path(out).with_suffix(".json"))


def write(out: str, found: Mapping[str, Any]) -> None:
    """Both files, each in one move, the page last."""
    write_text(beside(out), json.dumps(found, indent=1))
    write_text(out, report_page(found))
