from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from features.errors import SettingsError
from features.settings import load
from features.store.stores import open_store


@pytest.fixture
def toml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("ASOF_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "asof.toml"


def test_defaults_are_embedded_and_live_under_one_home(toml: Path) -> None:
    settings = load()
    assert settings.home == toml.parent / ".asof"
    assert settings.tables_root == str(toml.parent / ".asof" / "warehouse")
    assert (settings.metastore.kind, settings.online.kind, settings.registry.kind) == ("derby", "sqlite", "sqlite")
    assert settings.online_db.parent == settings.logs.parent == settings.home


def test_an_argument_beats_a_variable_beats_the_file_beats_the_default(
    toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toml.write_text('[spark]\nmaster = "local[1]"\ndriver_memory = "4g"\n[airflow]\nport = 1\n')
    assert load().spark.master == "local[1]"
    monkeypatch.setenv("ASOF_SPARK__MASTER", "local[2]")
    assert load().spark.master == "local[2]"
    settings = load(spark={"master": "local[3]"})
    assert (settings.spark.master, settings.spark.driver_memory, settings.airflow.port) == ("local[3]", "4g", 1)
    assert settings.spark.shuffle_partitions is None


def test_asof_config_names_another_file(toml: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = toml.with_name("other.toml")
    other.write_text('catalog = "theirs"')
    monkeypatch.setenv("ASOF_CONFIG", str(other))
    assert load().catalog == "theirs"
    monkeypatch.setenv("ASOF_CONFIG", "nowhere.toml")
    with pytest.raises(
        SettingsError, match=r"ASOF_CONFIG names nowhere.toml, which does not exist\. Write it, or unset"
    ):
        load()


def test_every_line_of_the_repositorys_own_file_is_a_setting(toml: Path) -> None:
    shown = Path(__file__).parents[2] / "asof.toml"
    lines = (line.removeprefix("# ") for line in shown.read_text().splitlines())
    toml.write_text("\n".join(line for line in lines if line.startswith("[") or "=" in line.partition("#")[0]))
    settings = load()
    assert settings.clock == datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert settings.spark.conf == {"spark.executor.memory": "4g"}


def test_the_clock_is_in_utc_and_needs_a_zone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASOF_CLOCK", "2026-03-02T07:00:00+01:00")
    assert load().now() == datetime(2026, 3, 2, 6, tzinfo=UTC)
    assert load(clock=datetime(2026, 3, 2, tzinfo=ZoneInfo("Asia/Tokyo"))).now().tzinfo is UTC
    monkeypatch.setenv("ASOF_CLOCK", "2026-03-02T07:00:00")
    with pytest.raises(
        SettingsError, match=r"clock = '2026-03-02T07:00:00', given by the variable ASOF_CLOCK, is wrong"
    ):
        load()


def test_without_a_clock_now_is_the_wall_clock() -> None:
    before = datetime.now(UTC)
    assert before <= load().now() <= datetime.now(UTC)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[spark]\nshuffle_partitions = 0", r"spark.shuffle_partitions = 0, given by the file asof.toml, is wrong"),
        ("[spark]\ndriver_memory = '3'", r"spark.driver_memory = '3', given by the file asof.toml"),
        (
            "[spark]\nmastr = 'x'",
            r"no setting spark.mastr, given by the file asof.toml\. Known there: master, remote, driver_memory",
        ),
        ("sparks = 1", r"no setting sparks, given by the file asof.toml\. Known there: home, clock"),
        ("spark = 1", r"spark = 1, given by the file asof.toml, is wrong"),
        ("[online]\nkind = 'mysql'", r"online.kind = 'mysql', given by the file asof.toml, is wrong: .*'sqlite'"),
        ("[spark\n", r"asof.toml cannot be read as TOML: .*line 1.*Mend that line"),
    ],
)
def test_a_wrong_setting_is_named_with_value_and_source(toml: Path, text: str, said: str) -> None:
    toml.write_text(text)
    with pytest.raises(SettingsError, match=said) as caught:
        load()
    assert not isinstance(caught.value, ValidationError)


def test_a_wrong_variable_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASOF_AIRFLOW__PORT", "high")
    with pytest.raises(
        SettingsError, match=r"airflow.port = 'high', given by the variable ASOF_AIRFLOW__PORT, is wrong"
    ):
        load()


def test_a_misspelt_variable_is_refused_not_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASOF_SPRAK__MASTER", "local[1]")
    with pytest.raises(SettingsError, match=r"The variable ASOF_SPRAK__MASTER is no setting\. Known: ASOF_HOME"):
        load()


def test_a_group_that_is_no_json_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASOF_SPARK", "{")
    with pytest.raises(SettingsError, match=r"spark.*ASOF_SPARK__MASTER"):
        load()


@pytest.mark.parametrize(
    ("group", "value", "said"),
    [
        ("online", {"kind": "redis-cluster"}, r"online.kind = 'redis-cluster' needs online.url.*ASOF_ONLINE__URL"),
        ("stream", {"kind": "folder"}, r"stream.kind = 'folder' is not supported.*Use 'none'"),
        ("stream", {"kind": "kafka"}, r"stream.kind = 'kafka' is not supported.*Use 'none'"),
        ("tables", {"root": "s3://bucket"}, r"scheme 's3', which is not supported.*s3a://"),
        (
            "metastore",
            {"kind": "thrift"},
            r"metastore.kind = 'thrift' needs metastore.uri.*ASOF_METASTORE__URI.*'derby'",
        ),
        ("online", {"kind": "redis"}, r"online.kind = 'redis' needs online.url.*ASOF_ONLINE__URL.*'sqlite'"),
        ("registry", {"kind": "postgres"}, r"registry.kind = 'postgres' needs registry.url.*ASOF_REGISTRY__URL"),
        ("airflow", {"kind": "postgres"}, r"There is no setting airflow.kind.*Known there: port, grouping, submit"),
        (
            "spark",
            {"master": "mesos://host:5050"},
            r"spark.master = 'mesos://host:5050' is not supported.*local\[n\].*spark://host:port.*yarn",
        ),
    ],
)
def test_what_is_not_supported_or_not_whole_refuses_with_a_remedy(group: str, value: dict[str, str], said: str) -> None:
    with pytest.raises(SettingsError, match=said):
        load(**{group: value})


@pytest.mark.parametrize("root", ["hdfs://name/features", "s3a://bucket/features", "/data/features", "features"])
def test_tables_may_lie_on_a_cluster(root: str) -> None:
    assert load(tables={"root": root + "/"}).tables_root == root


def test_a_password_is_printed_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASOF_ONLINE__URL", "redis://:hunter2@host:6379/0")
    settings = load(
        online={"kind": "redis"},
        registry={"kind": "postgres", "url": "postgresql+psycopg://u:hunter2@h/d"},
        spark={"conf": {"spark.hadoop.fs.s3a.secret.key": "hunter2"}},
    )
    assert settings.online.url is not None
    assert settings.online.url.get_secret_value() == "redis://:hunter2@host:6379/0"
    assert "hunter2" not in f"{settings!r} {settings}"


def test_a_wrong_secret_is_not_shown_in_its_error() -> None:
    with pytest.raises(SettingsError, match=r"online.url = \(hidden\), given by the argument, is wrong") as caught:
        load(online={"kind": "redis", "url": ["hunter2"]})
    assert "hunter2" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_settings_do_not_change() -> None:
    with pytest.raises(ValidationError):
        load().catalog = "other"


def test_a_redis_url_that_is_none_is_refused_and_not_shown() -> None:
    settings = load(online={"kind": "redis", "url": "localhost:secret"})
    with pytest.raises(SettingsError, match=r"The setting online\.url is no Redis URL\. Write redis://") as caught:
        open_store(settings, writable=False)
    assert "secret" not in str(caught.value)


def test_the_online_stores_file_lies_under_home_unless_it_is_placed(tmp_path: Path) -> None:
    assert load(home=tmp_path).online_db == tmp_path / "online.db"
    placed = load(home=tmp_path, online={"path": "elsewhere/values.db"}).online_db
    assert placed == Path("elsewhere/values.db").absolute()
