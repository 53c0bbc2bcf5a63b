import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import AsofError, BusyError, HeldError, InputError, InvalidDefinitionError, SettingsError
from jobs.spark_errors import log_error, translate, translated


def test_a_full_disk_is_busy_whoever_says_so(tmp_path: Path) -> None:
    for error in (
        OSError(errno.ENOSPC, "x"),
        OSError(errno.EDQUOT, "x"),
        RuntimeError("java.io.IOException: No space left on device"),
    ):
        told = translate(error, tmp_path)
        assert type(told) is BusyError
        assert str(told).startswith("The disk is full. Free some space")


def test_a_full_disk_behind_another_error_is_found(tmp_path: Path) -> None:
    error = RuntimeError("stage failed")
    error.__cause__ = OSError(errno.ENOSPC, "x")
    assert type(translate(error, tmp_path)) is BusyError


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        (
            "x\njava.lang.OutOfMemoryError: Java heap space\n\tat y",
            BusyError,
            r"ran out of memory \(Java heap space\)\. Raise spark\.driver_memory",
        ),
        (
            "MetaException(message:Could not connect to meta store using any",
            BusyError,
            "The Hive metastore does not answer. Try again",
        ),
        (
            "An exception was thrown from the Python worker.\nModuleNotFoundError: No module named 'pyarrow'\n\tat org.apache",
            SettingsError,
            r"no module pyarrow\. Set PYSPARK_PYTHON to the Python that Asof is installed in",
        ),
        ("[JAVA_GATEWAY_EXITED] Java gateway process exited", SettingsError, "Its last words are in spark.log"),
        (
            "[UNABLE_TO_INFER_SCHEMA] Unable to infer schema for Parquet.",
            InputError,
            "The input holds no Parquet and no CSV file",
        ),
    ],
)
def test_what_cannot_be_caused_in_a_test_is_known_by_its_words(
    tmp_path: Path, text: str, kind: type[AsofError], said: str
) -> None:
    with pytest.raises(kind, match=said):
        raise translate(RuntimeError(text), tmp_path)


_KILLED = """
import os, sys, threading
from pathlib import Path
from features.settings import load
from jobs.session import spark
from jobs.spark_errors import translate

settings = load(home=sys.argv[1], spark={"master": "local[1]"}, metastore={"kind": "embedded"})
session = spark(settings, "killed")
java = session._jvm.java.lang.ProcessHandle.current().pid()
threading.Timer(3, os.kill, (java, 9)).start()
try:
    session.range(10**13).selectExpr("sum(id % 7)").collect()
except Exception as error:
    told = translate(error, Path(sys.argv[1]))
    print(type(told).__name__, told)
"""


@pytest.mark.slow
def test_java_that_is_killed_is_said_and_no_stack_trace(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _KILLED, str(tmp_path)], env={**os.environ, "ASOF_CONFIG": os.devnull}, capture_output=True, text=True, timeout=240, check=False
    )  # fmt: skip
    assert done.stdout.startswith("BusyError Spark's Java ended while it worked: something killed it"), (
        done.stdout + done.stderr
    )
    assert done.stdout.rstrip().endswith(f"The full text is in {tmp_path}/errors.log.")


def test_an_unknown_error_is_its_first_line_and_the_log(tmp_path: Path) -> None:
    with pytest.raises(AsofError) as caught, translated(tmp_path):
        raise KeyError("k\nmore")
    assert str(caught.value) == f"KeyError: 'k\\nmore'\nThe full text is in {tmp_path / 'errors.log'}."
    assert isinstance(caught.value.__cause__, KeyError)
    assert "KeyError" in (tmp_path / "errors.log").read_text()


def test_a_module_that_this_python_lacks_is_not_a_tasks(tmp_path: Path) -> None:
    assert "PYSPARK_PYTHON" not in str(translate(ModuleNotFoundError("No module named 'x'"), tmp_path))


def test_an_error_of_ours_stays_the_same_object(tmp_path: Path) -> None:
    error = HeldError("x")
    assert translate(error, tmp_path) is error
    assert not (tmp_path / "errors.log").exists()


def test_a_catalogues_problems_come_back_from_a_worker_as_one_text(tmp_path: Path) -> None:
    text = "Traceback (most recent call last):\n  File x\nfeatures.errors.InvalidCatalogError: 1 problem(s)\n  1. a view\n\n\tat org.apache.spark.X(Y)"
    told = translate(RuntimeError(text), tmp_path)
    assert (type(told), str(told)) == (InvalidDefinitionError, "1 problem(s)\n  1. a view")


def test_a_log_that_cannot_be_written_does_not_hide_the_error(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file, not a folder")
    assert log_error(ValueError("x"), tmp_path / "logs") == tmp_path / "logs" / "errors.log"
    assert "ValueError: x" in str(translate(ValueError("x"), tmp_path / "logs"))


@pytest.mark.parametrize(
    ("number", "kind", "said"),
    [
        (errno.EACCES, SettingsError, "/x/y may not be read or written by this user. Give the right to it"),
        (errno.EROFS, SettingsError, "/x/y lies on a file system that is read only. Set another folder"),
        (errno.EISDIR, InputError, "/x/y is a folder, and a file is needed there. Name a file."),
        (errno.ENOTDIR, InputError, "/x/y goes through a file as if it were a folder. Check the path."),
        (errno.EEXIST, InputError, "/x/y is a file, and a folder is needed there. Name another folder"),
    ],
)
def test_what_the_file_system_refuses_names_the_path(
    tmp_path: Path, number: int, kind: type[AsofError], said: str
) -> None:
    told = translate(OSError(number, "x", "/x/y"), tmp_path)
    assert type(told) is kind
    assert str(told).startswith(said)
