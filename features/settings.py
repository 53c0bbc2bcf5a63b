"""One typed object for every setting: arguments, then `ASOF_…` variables, then `asof.toml`, then the embedded defaults.

Nested settings join with two underscores: `ASOF_SPARK__MASTER`. What this release does not support is refused here, in a sentence.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict
from pydantic_settings import SettingsError as SourceError

from features.errors import SettingsError

__all__ = [
    "AirflowSettings",
    "MetastoreSettings",
    "OnlineSettings",
    "RegistrySettings",
    "ServingSettings",
    "Settings",
    "SparkSettings",
    "SqlSettings",
    "StreamSettings",
    "TablesSettings",
    "load",
]

_PREFIX = "ASOF_"
# Variables with our prefix that are no settings: where the file is, and what the tests of services are told.
_NOT_SETTINGS = ("ASOF_CONFIG", "ASOF_TEST_")
# Values that may carry a password, shown by no message.
_HIDDEN = ("url", "conf", "root")
_TABLE_SCHEMES = ("hdfs", "s3a")
_MASTERS = re.compile(r"local(\[(\*|\d+)(,\d+)?\])?|local-cluster\[.+\]|spark://\S+|yarn|k8s://\S+")


def _absolute(value: Path) -> Path:
    # Airflow's tasks, Derby and Spark each have a working directory of their own.
    return value.expanduser().absolute()


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SparkSettings(_Group):
    """Where Spark runs and what it may use."""

    master: str = "local[*]"
    """Ignored under `spark-submit`, whose own `--master` counts."""
    remote: Annotated[str, Field(pattern=r"^(embedded|sc://[^\s]+)$")] | None = None
    """A Spark Connect server, `sc://host:port`, whose own settings then count; "embedded": one that the first command starts here, and `asof stop`
    ends; None: each command starts its own Spark."""
    driver_memory: Annotated[str, Field(pattern=r"^[1-9][0-9]*[kmgt]$")] = "3g"
    """With its unit, as Spark writes it: 512m, 3g."""
    compiler: Literal["full", "quick"] = "full"
    """quick: the JVM's first compiler only; seconds less for each short command, slower past a minute."""
    shuffle_partitions: Annotated[int, Field(ge=1)] | None = None
    """None: from the data's size where an entity's rows are brought together (`asof explain`); elsewhere two for each core when Spark is local, else Spark's own default."""
    few_bytes: Annotated[int, Field(ge=0)] = 32 * 1024 * 1024
    """Of files that a process reads by itself at the most, 32 MB; what is larger is Spark's tasks'. 0: all is."""
    conf: dict[str, str] = Field(default_factory=dict, repr=False)
    """More Spark settings; may hold keys of object stores, so it is never printed."""


class MetastoreSettings(_Group):
    """Where the Hive metastore is."""

    kind: Literal["derby", "thrift", "embedded"] = "derby"
    """derby: the bundled service, started when needed; thrift: one that runs already; embedded: inside one Spark, one process at a time."""
    uri: Annotated[str, Field(pattern=r"^thrift://[^\s]+:[0-9]+$")] | None = None
    """Of kind thrift: `thrift://host:port`, several with commas."""
    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Of kind derby; None: any free one."""


class TablesSettings(_Group):
    """Where the tables' files are."""

    root: str | None = None
    """A local folder, hdfs:// or s3a://; None: `warehouse` under home."""


class OnlineSettings(_Group):
    """The online store."""

    kind: Literal["sqlite", "redis", "redis-cluster"] = "sqlite"
    url: SecretStr | None = None
    """Of kind redis: `redis://[:password@]host:port/db`; of kind redis-cluster: `redis://[:password@]host:port`, any of its nodes, or several with commas between."""
    path: Annotated[Path, AfterValidator(_absolute)] | None = None
    """Of kind sqlite: the file; None: `online.db` under home."""
    fold_at: Annotated[int, Field(ge=100)] = 1000
    """A tail with more entries than this is folded into blocks by whoever pushes to it."""


class RegistrySettings(_Group):
    """Feast's registry."""

    kind: Literal["sqlite", "postgres"] = "sqlite"
    url: SecretStr | None = None
    """Of kind postgres: `postgresql+psycopg://user:password@host/db`."""


class AirflowSettings(_Group):
    """How the DAGs are cut. A team's Airflow has its own settings, its database and executor among them; the demo's is on SQLite."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """Of the demo's API server; None: any free one."""
    grouping: Literal["schedule", "entity", "view"] = "schedule"
    """What shares one DAG, and so one Spark application per stage."""
    submit: Literal["local", "spark-submit"] = "local"
    """local: `asof` as a process of the worker; spark-submit: SparkSubmitOperator."""
    spark_conn_id: str = "spark_default"


class SqlSettings(_Group):
    """The server that `asof sql` starts."""

    port: Annotated[int, Field(ge=1, le=65535)] | None = None
    """None: any free one."""


class ServingSettings(_Group):
    """The HTTP service that `asof serve` is."""

    host: str = "127.0.0.1"
    """The interface it listens on; 0.0.0.0: all."""
    port: Annotated[int, Field(ge=1, le=65535)] = 6566
    """Feast's own."""
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    """Processes."""
    threads: Annotated[int, Field(ge=1, le=256)] = 4
    """Lookups at once in each of them."""
    deadline_ms: Annotated[int, Field(ge=1)] = 1000
    """A request without an answer by then gets 504."""
    auth: Literal["tokens", "none"] = "tokens"
    """tokens: `asof grant` makes them; none: whoever reaches the port may read everything."""
    tokens: Path | None = None
    """The file of the tokens' digests; None: `tokens.json` under home."""


class StreamSettings(_Group):
    """Where events come from between cuts."""

    kind: Literal["none", "folder", "kafka"] = "none"


def _utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


class Settings(BaseSettings):
    """Everything a run may be told; make it with `load()`, which turns each mistake into a sentence."""

    model_config = SettingsConfigDict(
        env_prefix=_PREFIX, env_nested_delimiter="__", frozen=True, extra="forbid", validate_default=True
    )

    home: Annotated[Path, AfterValidator(_absolute)] = Path(".asof")
    """Everything embedded lives under it; relative to the working directory."""
    clock: Annotated[AwareDatetime, AfterValidator(_utc)] | None = None
    """A fixed now, with its zone; None: the wall clock."""
    catalog: str = "features.catalogue"
    """The module that holds the definitions."""
    spark: SparkSettings = SparkSettings()
    metastore: MetastoreSettings = MetastoreSettings()
    tables: TablesSettings = TablesSettings()
    online: OnlineSettings = OnlineSettings()
    registry: RegistrySettings = RegistrySettings()
    airflow: AirflowSettings = AirflowSettings()
    sql: SqlSettings = SqlSettings()
    serving: ServingSettings = ServingSettings()
    stream: StreamSettings = StreamSettings()

    @classmethod
    def settings_customise_sources(  # noqa: D102 - pydantic-settings' own hook
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, _TomlSource(settings_cls)

    def now(self) -> datetime:
        """The clock in UTC: `clock` where it is set, else the wall clock."""
        return self.clock or datetime.now(UTC)

    @property
    def tables_root(self) -> str:
        """Where the tables' files are: a folder or a URL, without a slash at its end."""
        return (self.tables.root or str(self.home / "warehouse")).rstrip("/")

    @property
    def landing(self) -> Path:
        """Where the source systems' files arrive."""
        return self.home / "landing"

    @property
    def logs(self) -> Path:
        """Where the chatter of Spark, Airflow and GX goes."""
        return self.home / "logs"

    @property
    def feast(self) -> Path:
        """The repository that the `feast` command reads."""
        return self.home / "feast"

    @property
    def docs(self) -> Path:
        """The data docs."""
        return self.home / "docs"

    @property
    def tokens(self) -> Path:
        """The file of the HTTP service's tokens."""
        return self.serving.tokens or self.home / "tokens.json"

    @property
    def online_db(self) -> Path:
        """The online store of kind sqlite."""
        return self.online.path or self.home / "online.db"


class _TomlSource(PydanticBaseSettingsSource):
    """`asof.toml` of the working directory, or the file that ASOF_CONFIG names; read once for each Settings."""

    def get_field_value(self, field: Any, field_name: str) -> tuple[Any, str, bool]:  # noqa: ANN401, ARG002 - pydantic's signature
        return _toml().get(field_name), field_name, False

    def __call__(self) -> dict[str, Any]:
        return _toml()


def load(**overrides: object) -> Settings:
    """The settings in force; `overrides` (`home=…`, `spark={"master": …}`) win over every other source.

    Raises:
        SettingsError: for the first wrong setting: its name, its value (never a secret), where it came from.
    """
    _refuse_unknown_variables(os.environ)
    try:
        settings = Settings(**overrides)  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(_sentence(error, overrides)) from None
    except SourceError as error:
        # pydantic-settings names the field and the source; the cause holds the value, which may be a secret.
        message = f"{error}. Groups are set field by field, `ASOF_SPARK__MASTER=…`, or as one JSON object."
        raise SettingsError(message) from None
    _refuse_unsupported(settings)
    _refuse_incomplete(settings)
    return settings


def _toml_path() -> Path:
    return Path(os.environ.get("ASOF_CONFIG") or "asof.toml")


def _toml() -> dict[str, Any]:
    path = _toml_path()
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        if os.environ.get("ASOF_CONFIG"):
            message = (
                f"ASOF_CONFIG names {path}, which does not exist. Write it, or unset ASOF_CONFIG to use asof.toml."
            )
            raise SettingsError(message) from None
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        message = (
            f"{path} cannot be read as TOML: {error}. Mend that line; asof.toml of the repository shows every setting."
        )
        raise SettingsError(message) from error


def _refuse_unknown_variables(environ: Mapping[str, str]) -> None:
    for name in sorted(environ):
        field = name.upper().removeprefix(_PREFIX).partition("__")[0].lower()
        if not name.upper().startswith(_PREFIX) or name.upper().startswith(_NOT_SETTINGS):
            continue
        if field not in Settings.model_fields:
            known = ", ".join(f"{_PREFIX}{known.upper()}" for known in Settings.model_fields)
            message = (
                f"The variable {name} is no setting. Known: {known} (and `__` into a group). Unset it or correct it."
            )
            raise SettingsError(message)


def _sentence(error: ValidationError, overrides: Mapping[str, object]) -> str:
    first = error.errors(include_url=False)[0]
    path = [str(part) for part in first["loc"]]
    shown = "(hidden)" if set(_HIDDEN) & set(path) else repr(first["input"])
    more = f" ({error.error_count() - 1} more settings are wrong too.)" if error.error_count() > 1 else ""
    if first["type"] == "extra_forbidden":
        known = ", ".join(_fields(path[:-1]))
        return f"There is no setting {'.'.join(path)}, given by {_source(path, overrides)}. Known there: {known}.{more}"
    return (
        f"The setting {'.'.join(path)} = {shown}, given by {_source(path, overrides)}, is wrong: {first['msg']}.{more}"
    )


def _fields(path: list[str]) -> list[str]:
    model: type[BaseModel] = Settings
    for part in path:
        annotation = model.model_fields[part].annotation
        if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
            return []
        model = annotation
    return list(model.model_fields)


def _source(path: list[str], overrides: Mapping[str, object]) -> str:
    if _holds(overrides, path):
        return "the argument"
    environ = {name.upper() for name in os.environ}
    for depth in range(len(path), 0, -1):
        name = _PREFIX + "__".join(path[:depth]).upper()
        if name in environ:
            return f"the variable {name}"
    return f"the file {_toml_path()}" if _holds(_toml(), path) else "the default"


def _holds(tree: object, path: list[str]) -> bool:
    for part in path:
        if not isinstance(tree, Mapping):
            # A whole group given as one wrong value, or a model already built.
            return True
        if part not in tree:
            return False
        tree = tree[part]
    return True


def _refuse_unsupported(settings: Settings) -> None:
    if settings.stream.kind != "none":
        raise SettingsError(
            f"The setting stream.kind = {settings.stream.kind!r} is not supported in this release. Supported: 'none' (scheduled "
            "views, fresh to the last cut). Use 'none'; 'folder' (one machine) and 'kafka' (a team) come with streaming."
        )
    if not _MASTERS.fullmatch(settings.spark.master):
        raise SettingsError(
            f"The setting spark.master = {settings.spark.master!r} is not supported. Supported: local[*] or local[n] (one machine), "
            "spark://host:port (a standalone cluster), yarn and k8s://… (a cluster that the company runs)."
        )
    root = settings.tables.root
    if root and "://" in root and root.partition("://")[0] not in _TABLE_SCHEMES:
        raise SettingsError(
            f"The setting tables.root has the scheme {root.partition('://')[0]!r}, which is not supported. Supported: a local folder "
            "(one machine), hdfs:// (a Hadoop cluster) and s3a:// (S3 and what speaks like it; Spark knows no s3://)."
        )


def _refuse_incomplete(settings: Settings) -> None:
    needed: tuple[tuple[str, str, object, str], ...] = (
        ("metastore", "uri", settings.metastore.uri, "thrift"),
        ("online", "url", settings.online.url, "redis"),
        ("online", "url", settings.online.url, "redis-cluster"),
        ("registry", "url", settings.registry.url, "postgres"),
    )
    for group, field, value, kind in needed:
        if getattr(settings, group).kind == kind and value is None:
            default = get_args(type(getattr(settings, group)).model_fields["kind"].annotation)[0]
            raise SettingsError(
                f"The setting {group}.kind = {kind!r} needs {group}.{field}, which is not set. Set "
                f"{_PREFIX}{group.upper()}__{field.upper()} or {group}.{field} in {_toml_path()}, or use {group}.kind = {default!r}."
            )
