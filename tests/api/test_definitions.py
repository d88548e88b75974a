"""Classes of a notebook become modules that every process can import, as code outside the package is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mailcli import plugins
from mailcli.api.definitions import plugin_name
from mailcli.api.module_text import module_text
from mailcli.errors import MailError
from mailcli.models.rankers.din import Ranker as Din
from tests.helpers.cells import Cells

#: What a notebook may have before the class; the names that the class does not use are left out.
EARLIER = """
from __future__ import annotations
import math
import os.path as places
from collections import OrderedDict as Ordered
from pathlib import Path
import mailcli as mail

UNITS = (4, 2)
SCALE = {"a": 1.5}
OTHER = object()

def half(x):
    return x / places.os.sep.count("/") / 2

class Base:
    def start(self):
        return half(SCALE["a"])
"""
CELL = """
print("not part of it")

class Mine(Base):
    '''What it does.'''
    units = UNITS

    def value(self):
        return math.floor(self.start() * 100), Ordered(a=self.units)

value = Mine().value()
"""
#: What the class becomes.
EXPECTED = '''"""The ranker Mine, as it was defined in a notebook or script."""

from __future__ import annotations
from collections import OrderedDict as Ordered
import math
import posixpath as places

SCALE = {'a': 1.5}
UNITS = (4, 2)


def half(x):
    return x / places.os.sep.count("/") / 2


class Base:
    def start(self):
        return half(SCALE["a"])


class Mine(Base):
    \'\'\'What it does.\'\'\'
    units = UNITS

    def value(self):
        return math.floor(self.start() * 100), Ordered(a=self.units)
'''


def test_a_class_of_a_notebook_becomes_a_module_with_what_it_needs(home: Path) -> None:
    cells = Cells()
    cells.run(EARLIER)
    names = cells.run("from __future__ import annotations\n" + CELL)
    name = plugin_name(plugins.RANKERS, names["Mine"])
    digest = hashlib.sha256(EXPECTED.encode()).hexdigest()[:8]
    assert name == f"notebook_code.mine_{digest}:Mine"
    path = home / "notebook_code" / f"mine_{digest}.py"
    assert path.read_text() == EXPECTED
    # Another process imports it and computes the same.
    code = f"from notebook_code.mine_{digest} import Mine; print(repr(Mine().value()))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == f"{names['value']!r}\n"
    # Its SHA-256 is recorded, as that of every module outside the package.
    assert plugins.code_sha256(plugins.RANKERS, name) == hashlib.sha256(EXPECTED.encode()).hexdigest()


def test_a_changed_class_gets_another_module_and_the_same_class_the_same(home: Path) -> None:
    cells = Cells()
    code = "class R:\n    def f(self):\n        return {}\n"
    first = plugin_name(plugins.RANKERS, cells.run(code.format(1))["R"])
    second = plugin_name(plugins.RANKERS, cells.run(code.format(2))["R"])
    assert plugin_name(plugins.RANKERS, cells.run("\n\n" + code.format(1))["R"]) == first != second
    assert len(list((home / "notebook_code").iterdir())) == 2
    path = home / "notebook_code" / f"{first.split(':')[0].split('.')[1]}.py"
    path.write_text("class R: pass\n")
    with pytest.raises(MailError) as error:
        plugin_name(plugins.RANKERS, cells.run(code.format(1))["R"])
    assert error.value.message == (
        f"notebook_code/{path.name}: was changed after it was written from a notebook or script. Delete it."
    )


def test_a_set_is_written_in_one_order(home: Path) -> None:
    """`repr` shows its strings in an order that changes from session to session, and with it the name of the run."""
    cells = Cells()
    cells.run("SKIP = {'b', 'c', 'a'}\nDEEP = {'x': ({'q', 'p'}, [1.5]), 2: (3,)}\nEMPTY = set()")
    cells.run("class Mine:\n    def value(self):\n        return SKIP, DEEP, EMPTY")
    text = module_text("ranker Mine", cells.names["Mine"])
    assert "EMPTY = set()\n" in text
    assert "SKIP = {'a', 'b', 'c'}\n" in text
    assert "DEEP = {'x': ({'p', 'q'}, [1.5]), 2: (3,)}\n" in text


def test_what_need_not_be_written_is_not(home: Path) -> None:
    assert plugin_name(plugins.RANKERS, "dmr") == "dmr"
    assert plugin_name(plugins.RANKERS, Din) == "din"
    assert plugin_name(plugins.RANKERS, Cells) == "tests.helpers.cells:Cells"
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "definition",
    [
        "class R:\n    def __init__(self, units=N):\n        pass\n",
        "class R:\n    def __init__(self, *, units=(N, 4)):\n        pass\n",
        "class R:\n    def f(self):\n        pass\n    sizes = [N, 4]\n    size = N\n",
        "class R:\n    def f(self):\n        pass\n    size: int = N\n",
        "def R(features, units=N):\n    return features\n",
    ],
)
def test_a_value_that_has_changed_since_is_refused(home: Path, definition: str) -> None:
    """The module would be made of the new one."""
    cells = Cells()
    cells.run("N = 8")
    cells.run(definition)
    assert "N = 8\n" in module_text("ranker R", cells.names["R"])
    cells.run("N = 16")
    with pytest.raises(MailError) as error:
        module_text("ranker R", cells.names["R"])
    assert error.value.message == (
        "ranker R: 'N' has changed since 'R' was defined with it. Define 'R' again, for example by running its cell."
    )
    cells.run(definition)
    assert "N = 16\n" in module_text("ranker R", cells.names["R"])


def test_a_base_class_that_has_changed_since_is_refused(home: Path) -> None:
    cells = Cells()
    base = "class Base:\n    def f(self):\n        return {}\n"
    cells.run(base.format(1))
    cells.run("class R(Base):\n    def g(self):\n        return 1\n")
    module_text("ranker R", cells.names["R"])
    cells.run(base.format(2))
    with pytest.raises(MailError, match="ranker R: 'Base' has changed since 'R' was defined with it"):
        module_text("ranker R", cells.names["R"])


def test_a_value_that_is_read_when_the_code_runs_may_change(home: Path) -> None:
    cells = Cells()
    cells.run("N = 8")
    cells.run("class R:\n    def f(self, x=int(2.5)):\n        return N\n")
    cells.run("N = 16")
    assert "N = 16\n" in module_text("ranker R", cells.names["R"])


def test_a_decorated_function_may_be_a_ranker(home: Path) -> None:
    names = Cells().run("def same(f):\n    return f\n@same\ndef logit(features, bias=0.5):\n    return features\n")
    text = module_text("ranker logit", names["logit"])
    assert text.endswith("\n\n\n@same\ndef logit(features, bias=0.5):\n    return features\n")
    assert "def same(f):\n    return f\n\n\n@same" in text


@pytest.mark.parametrize(
    ("code", "name", "message"),
    [
        (
            "import threading\nlock = threading.Lock()\nclass R:\n    def f(self):\n        return lock\n",
            "R",
            "ranker R: uses 'lock' of the notebook or script, <unlocked _thread.lock object at",
        ),
        (
            "class R:\n    pass\n",
            "R",
            "ranker R: the source of 'R' is not known, so the run could not be repeated. Put",
        ),
        (
            "def make():\n    class R:\n        def f(self):\n            return free\n    free = 1\n    return R\nR = make()\n",
            "R",
            "ranker make.<locals>.R: is defined inside a function or class, so no other process could import it. Define it at",
        ),
        ("R = 5\n", "R", "ranker 5: is neither a name nor a class. Give the class itself, not an instance."),
    ],
)
def test_what_cannot_be_recorded_is_told_in_one_line(home: Path, code: str, name: str, message: str) -> None:
    names = Cells().run(code)
    with pytest.raises(MailError) as error:
        plugin_name(plugins.RANKERS, names[name])
    assert error.value.message.startswith(message)
    assert "\n" not in error.value.message
    assert list(home.iterdir()) == []


def test_a_class_without_a_known_source_is_told_in_one_line(home: Path) -> None:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec("class R:\n    def f(self):\n        return 1\n", names)
    with pytest.raises(MailError, match="the source of 'R' is not known"):
        plugin_name(plugins.RANKERS, names["R"])


def test_a_class_inside_a_function_of_a_module_is_told_in_one_line() -> None:
    class Inner:
        pass

    with pytest.raises(MailError, match="so no other process could import it"):
        plugin_name(plugins.RANKERS, Inner)
