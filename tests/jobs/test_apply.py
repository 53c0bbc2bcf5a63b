"""`asof apply` writes the registry and says what it holds and what it deleted."""

from pathlib import Path

import pytest

from features import load_catalog
from features.errors import MissingError
from features.settings import load
from jobs import apply
from jobs.commands import Apply

CATALOG = load_catalog()
pytestmark = pytest.mark.filterwarnings("ignore:The spark data source API")


@pytest.mark.slow
def test_it_says_what_the_registry_holds_and_what_went(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert apply.run(Apply(), load(home=tmp_path)) == 0
    said = capsys.readouterr().out
    entities = len({key for view in CATALOG.views for key in view.keys}) + 1
    assert said == (
        f"Feast's registry holds {entities} entities, {len(CATALOG.views) + 1} views and {len(CATALOG.services)} services. Look: feast -c {tmp_path / 'feast'} feature-views list\n"
    )
    assert apply.run(Apply(), load(home=tmp_path, catalog="tests.jobs.catalogue_of_loads")) == 0
    said = capsys.readouterr().out
    assert said.startswith("Feast's registry holds 2 entities, 3 views and 1 services.")
    assert "Deleted, because they are no longer defined: service " in said
    assert "view card_velocity" in said


def test_a_catalogue_that_is_not_there_is_told_before_feast_is_asked(tmp_path: Path) -> None:
    with pytest.raises(MissingError, match=r"There is no module 'no\.such\.catalogue' with definitions"):
        apply.run(Apply(), load(home=tmp_path, catalog="no.such.catalogue"))
    assert not (tmp_path / "feast").exists()
