"""What a method cannot learn from is refused in one line, before its baseline or a teacher is trained."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import pytest

from mailcli import plugins
from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import View, views
from mailcli.errors import MailError
from mailcli.models.factory import make_model
from mailcli.models.two_tower import TwoTower
from mailcli.runs.folder import RunFolder
from mailcli.training.preparation import check_method, prepare_method
from tests.helpers.command_line import SMALL, error_line, mail

#: Those that learn from new users, too, or from impressions alone.
NEED_NO_OLD_USERS = {"none", "dropout", "masked", "poso", "prior"}


def refusal(data_dir: Path, runs: Path, method: str, *settings: str) -> str:
    """The line by which `mail train` ends; nothing was trained."""
    options = [*SMALL, "--cold-start", method, *settings]
    line = error_line(mail("train", *options, "--data-dir", data_dir, "--runs", runs))
    assert not list(runs.rglob("*"))
    return line


@pytest.mark.parametrize("method", ["pfd", "prior"])
def test_more_folds_than_users(method: str, data_dir: Path, tiny: Dataset, tmp_path: Path) -> None:
    users = len(np.unique(tiny.column("train", "user")))
    expected = f"folds = {users + 1}: the training split has {users} users. Expected {users} or fewer."
    assert refusal(data_dir, tmp_path / "runs", method, "--set", f"cold_start.folds={users + 1}") == expected


def nobody_has_behavior(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if nobody had behavior before an impression."""
    monkeypatch.setattr(Dataset, "earlier_behaviors", lambda self, split: np.zeros(self.counts[split], np.int64))


def test_no_old_user(data_dir: Path, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobody_has_behavior(monkeypatch)
    assert refusal(data_dir, tmp_path / "runs", "metaemb") == (
        "tiny: the cold-start method 'metaemb' learns from old users, who have earlier behavior and are not drawn as "
        f"new. Of the {tiny.counts['train']} impressions of the training split, 0 have earlier behavior, and none of "
        "these is of an old user. Expected a dataset with behavior before its training impressions, or a smaller "
        "new_share or train_as_new."
    )


def test_the_methods_that_need_old_users(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = set()
    nobody_has_behavior(monkeypatch)
    for name in plugins.names(plugins.COLD_STARTS):
        config = make_config([{"data": "tiny", "cold_start": name}])
        try:
            check_method(plugins.load(plugins.COLD_STARTS, name)(), config, tiny, views(tiny, config)["train"])
        except MailError:
            refused.add(name)
    assert refused == {*plugins.names(plugins.COLD_STARTS)} - NEED_NO_OLD_USERS


def test_everybody_with_behavior_is_drawn_as_new(
    data_dir: Path, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(View, "is_new", lambda self, user, rows: self.treated_as_new[rows] | True)
    seen = np.count_nonzero(tiny.earlier_behaviors("train"))
    assert f", {seen} have earlier behavior, and none of these " in refusal(data_dir, tmp_path / "runs", "metaemb")


def test_numbers_of_any_type_are_prepared_and_others_refused(tiny: Dataset, home: Path) -> None:
    config = make_config([{"data": "tiny", "cold_start": "prior", "cold_start.folds": 2}])
    model, splits = make_model(tiny, config), views(tiny, config)
    count = len(splits["train"].rows)
    run = RunFolder(home, config)
    for numbers in (np.zeros(count), [0.0] * count):
        with patch_prepare(model, numbers):
            prepared = prepare_method(model, run, tiny, splits, 10)
            assert prepared is not None
            assert prepared.dtype == np.float32
    for wrong in (np.zeros(count - 1), ["many"] * count, ["1"] * count, np.zeros(count, complex), object()):
        with patch_prepare(model, wrong), pytest.raises(MailError, match=rf"^cold-start method 'prior': .*\[{count}\]"):
            prepare_method(model, run, tiny, splits, 10)


def patch_prepare(model: TwoTower, numbers: Any) -> AbstractContextManager[Any]:
    """`prepare` returns these numbers."""
    return patch.object(type(model.cold_start), "prepare", lambda *_: numbers)
