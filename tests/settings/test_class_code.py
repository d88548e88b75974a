"""Attributes of classes, read from code that is not executed."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli import plugins
from mailcli.settings.class_code import class_attribute, read_module

BASES = """
import no_such_package
SECRET = no_such_package.run()

class Base:
    generates: bool = True

class Other(no_such_package.Thing):
    pass
"""
METHODS = """
from typing import Any
from .bases import Base as Renamed, Other
from bases_beside import Base
from mailcli.models.coldstart.llae import ColdStart as Llae
from mailcli.models.coldstart.pfd import ColdStart

class Own(Renamed): pass
class Beside(Base): pass
class Not(Renamed):
    generates = False
class Computed(Renamed):
    generates = Any
class Unknown(Other): pass
class Packaged(Llae): pass
class ColdStart(ColdStart): pass
class Circle(Square): pass
class Square(Circle): pass
"""


@pytest.fixture
def own_code(home: Path) -> Path:
    """A package in the current folder whose import would fail, and a module beside it."""
    package = home / "own_package"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError")
    (package / "bases.py").write_text(BASES)
    (package / "methods.py").write_text(METHODS)
    (home / "bases_beside.py").write_text(BASES)
    (home / "mailcli").mkdir()
    (home / "mailcli/__init__.py").touch()
    (home / "broken_import.py").write_text("from ..too_far import Base\nclass Own(Base): pass\n")
    (home / "broken.py").write_text("class (")
    # An editor's byte order mark, and an encoding of its own, which Python reads as well.
    (home / "with_mark.py").write_bytes(b"\xef\xbb\xbf" + BASES.encode())
    (home / "latin.py").write_bytes("# -*- coding: latin-1 -*-\n# Übung".encode("latin-1") + BASES.encode())
    (home / "not_text.py").write_bytes(b"\xff\x00")
    read_module.cache_clear()
    return home


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("own_package.methods:Own", True),
        ("own_package.methods:Beside", True),
        ("own_package.methods:Not", False),
        ("own_package.methods:Computed", None),
        ("own_package.methods:Unknown", None),
        ("own_package.methods:Packaged", True),
        ("own_package.methods:ColdStart", False),
        ("own_package.methods:Circle", None),
        ("own_package.methods:Missing", None),
        ("own_package.missing:Own", None),
        ("missing:Own", None),
        ("broken:Own", None),
        ("not_text:Own", None),
        ("with_mark:Base", True),
        ("latin:Base", True),
        ("uninstalled", None),
        ("broken_import:Own", None),
        ("llae", True),
        ("mail-pooled", True),
        ("none", False),
    ],
)
def test_the_nearest_literal_counts(own_code: Path, name: str, value: object) -> None:
    assert class_attribute(plugins.COLD_STARTS, name, "generates") is value
