"""Which columns are recognized by their names."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.preprocessing.schema_init.sniff import sample_file
from mailcli.preprocessing.schema_init.table_roles import recognize_tables
from tests.helpers.proposals import FILES
from tests.helpers.schema_files import write_files


@pytest.mark.parametrize("name", ["behavior", "Behaviour", "event_type", "btag"])
def test_an_action_is_recognized_by_its_name(tmp_path: Path, name: str) -> None:
    history = f"user_id,timestamp,{name}\nu1,1699000000,view\nu1,1699000001,buy\n"
    raw = write_files(tmp_path, {**FILES, "history.csv": history})
    tables = recognize_tables([sample_file(path) for path in sorted(raw.glob("*.csv"))])
    assert tables.behaviors
    assert tables.behaviors.action
    assert tables.behaviors.action.name == name
    assert tables.unused == ()
