"""Every ranker, method and variant can be exported, and scores as the trainer did."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mailcli.data.dataset import Dataset
from mailcli.experiments.cells import resolve_config, train_if_missing
from mailcli.runs.folder import RunFolder
from tests.helpers.command_line import mail
from tests.helpers.models import COLD_STARTS
from tests.helpers.serving import (
    SMALL,
    SMALL_MAIL,
    RawRequests,
    assert_close,
    config_of,
    drawn_as_new,
    run_models,
    score,
)

ROOT = Path(__file__).parent.parent.parent


def check_same_scores(run: RunFolder, raw: RawRequests, data_dir: Path, folder: Path) -> None:
    """The exported model and `mail score` give the test split the trainer's scores."""
    result = mail("export", run.folder, folder / "model", "--data-dir", data_dir)
    assert result.exit_code == 0, result.output
    trained = np.load(run.folder / "predictions.npy").reshape(len(raw.test), -1)
    request = raw.request(raw.test, drawn_as_new(raw.dataset, run.config))
    outputs = run_models({"": (folder / "model", "serving_default", request)}, folder)[""]
    names = ["click", "ctcvr"][: trained.shape[1]]
    assert_close(np.concatenate([outputs[name] for name in names], axis=1), trained)
    assert sorted(outputs) == sorted(names)
    raw.test.to_parquet(folder / "in.parquet")
    result = score(run, folder / "in.parquet", folder / "out.parquet", data_dir)
    assert result.exit_code == 0, result.output
    scored = pd.read_parquet(folder / "out.parquet")
    assert_close(scored[["score", "score_ctcvr"][: trained.shape[1]]].to_numpy(), trained)


@pytest.mark.slow
@pytest.mark.parametrize("method", [name for name in COLD_STARTS if name != "mail"])
def test_every_cold_start_method_can_be_taken_away(
    method: str, tiny: Dataset, raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    run = train_if_missing(config_of(tiny, f"base+{method}"), tiny, tmp_path / "runs")
    check_same_scores(run, raw, data_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("ranker", ["dmr", "emblr", "din", "widedeep", "deepfm", "dcnv2"])
def test_every_ranker_can_be_taken_away(
    ranker: str, tiny: Dataset, raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    small = {key: value for key, value in SMALL.items() if ranker != "emblr" or key != "ranker.units"}
    settings = {"ranker": ranker, "cold_start": "mail", **small, **SMALL_MAIL}
    run = train_if_missing(resolve_config([settings], tiny.name, tiny.history), tiny, tmp_path / "runs")
    check_same_scores(run, raw, data_dir, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["none", "single", "dual"])
def test_every_variant_can_be_taken_away(
    variant: str, tiny: Dataset, raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    run = train_if_missing(config_of(tiny, "base+mail", **{"cold_start.variant": variant}), tiny, tmp_path / "runs")
    check_same_scores(run, raw, data_dir, tmp_path)


@pytest.mark.slow
def test_users_whom_strict_drew_are_unknown_by_id(
    tiny: Dataset, raw: RawRequests, data_dir: Path, tmp_path: Path
) -> None:
    run = train_if_missing(config_of(tiny, "base+mail", protocol="strict"), tiny, tmp_path / "runs")
    check_same_scores(run, raw, data_dir, tmp_path)


@pytest.mark.slow
def test_a_ranker_from_outside_can_be_taken_away(
    tiny: Dataset, raw: RawRequests, data_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.split(".")[0] == "examples"]:
        monkeypatch.delitem(sys.modules, name)
    settings = {"ranker": "examples.last_behavior:LastBehavior", "cold_start": "mail", **SMALL, **SMALL_MAIL}
    run = train_if_missing(
        resolve_config([{**settings, "ranker.units": "8"}], tiny.name, tiny.history), tiny, tmp_path / "runs"
    )
    check_same_scores(run, raw, data_dir, tmp_path)


@pytest.mark.slow
def test_two_heads(with_buys: Dataset, tmp_path: Path) -> None:
    settings = {"ranker": "esmm", "cold_start": "mail", **SMALL, **SMALL_MAIL}
    run = train_if_missing(resolve_config([settings], with_buys.name, with_buys.history), with_buys, tmp_path / "runs")
    data = with_buys.folder.parent
    check_same_scores(run, RawRequests(data / "raw", with_buys), data, tmp_path)
    description = json.loads((tmp_path / "model" / "signature.json").read_text())
    assert sorted(description["response"]["outputs"]) == ["click", "ctcvr"]
