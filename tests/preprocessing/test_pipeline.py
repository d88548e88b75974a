"""Raw files -> dataset: what does not change it, what it records, full disks and other processes."""

from __future__ import annotations

import gzip
import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.writer import DatasetWriter
from mailcli.errors import MailError
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from mailcli.simulation.alimama import simulate_alimama
from mailcli.simulation.world import Settings
from tests.helpers.datasets import columns


def test_order_of_rows_buckets_and_compression_do_not_show(
    simulated_raw: Path, tiny: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shuffled = tmp_path / "raw"
    shuffled.mkdir()
    rng = np.random.default_rng(0)
    for path in simulated_raw.glob("*.csv"):
        header, *rows = path.read_text().splitlines()
        # The published copies differ in the trailing space of one header name.
        text = "\n".join([header.strip(), *(rows[i] for i in rng.permutation(len(rows)))]) + "\n"
        (shuffled / f"{path.name}.gz").write_bytes(gzip.compress(text.encode()))
    monkeypatch.setattr("mailcli.preprocessing.buckets.BUCKET_BYTES", 10_000)
    again = preprocess("alimama", shuffled, tmp_path / "data", "again", PreprocessOptions(history=20))
    assert columns(again) == columns(tiny)
    assert again.manifest["counts"] == tiny.manifest["counts"]


def test_memory_and_threads_do_not_show_in_the_dataset(tmp_path: Path, simulated_raw: Path, tiny: Dataset) -> None:
    dataset = preprocess(
        "alimama", simulated_raw, tmp_path, None, PreprocessOptions(history=20, memory_limit="200MB", threads=1)
    )
    assert columns(dataset) == columns(tiny)


def test_real_or_simulated_is_recorded(simulated_raw: Path, tiny: Dataset, tmp_path: Path) -> None:
    assert tiny.display_name == "tiny (simulated)"
    assert tiny.simulation is not None
    assert tiny.simulation["users"] == 300
    copy = tmp_path / "raw"
    shutil.copytree(simulated_raw, copy)
    (copy / "SIMULATED.json").unlink()
    assert preprocess("alimama", copy, tmp_path / "data", None).display_name == "alimama (real data)"


def test_the_record_keeps_its_order(tiny: Dataset) -> None:
    """Runs know a dataset by the hash of dataset.json: in another order, none would be found for the same data."""
    assert list(json.loads((tiny.folder / "dataset.json").read_text())) == [
        "format",
        "name",
        "source",
        "simulation",
        "history",
        "sample",
        "duplicates",
        "vocabulary_sizes",
        "unseen",
        "counts",
        "dense",
        "schema",
        "derivations",
        "files",
        "columns",
        "checksum",
    ]


def test_making_a_dataset_again_replaces_it(tmp_path: Path, tiny: Dataset, simulated_raw: Path) -> None:
    shutil.copytree(tiny.folder, tmp_path / "again")
    assert Dataset(tmp_path / "again").history == 20

    dataset = preprocess("alimama", simulated_raw, tmp_path, "again", PreprocessOptions(history=7))
    assert dataset.history == 7
    assert [path.name for path in tmp_path.iterdir()] == ["again"]
    assert json.loads((dataset.folder / "dataset.json").read_text())["files"][0]["file"] == "user_profile.csv"


def test_two_at_once_on_the_same_dataset_the_second_is_refused(tmp_path: Path, simulated_raw: Path) -> None:
    with (
        DatasetWriter(tmp_path / "busy"),
        pytest.raises(MailError, match="another `mail preprocess` is making this dataset"),
    ):
        preprocess("alimama", simulated_raw, tmp_path, "busy")
    assert preprocess("alimama", simulated_raw, tmp_path, "busy", PreprocessOptions(history=2)).name == "busy"
    assert [path.name for path in tmp_path.iterdir()] == ["busy"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], capture_output=True, check=False
        ).returncode
    )
    if not mounted:
        pytest.skip("needs the right to mount a tmpfs")
    yield disk
    subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize("on_disk", ["dataset", pytest.param("work", marks=pytest.mark.slow)])
def test_a_full_disk_gives_one_line_and_no_half_dataset(
    small_disk: Path, tmp_path: Path, simulated_raw: Path, on_disk: str
) -> None:
    raw = tmp_path / "raw"
    simulate_alimama(Settings(users=1000, behaviors_per_user=100), raw)
    if on_disk == "work":
        target, temp = tmp_path / "data", small_disk
    else:
        target, temp = small_disk, tmp_path
    with pytest.raises(MailError, match="the disk is full. Nothing was kept; free some space and start again."):
        preprocess("alimama", raw, target, "big", PreprocessOptions(temp_dir=temp))
    assert list(small_disk.iterdir()) == []
    assert not (target / "big").exists()


def test_a_dataset_with_other_options_is_announced_before_it_is_replaced(
    tmp_path: Path, simulated_raw: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Runs on it cannot be scored on the new one; the same options are no reason to warn."""
    for _ in range(2):
        preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(history=20))
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == []
    preprocess("alimama", simulated_raw, tmp_path, "tiny", PreprocessOptions(history=10, drop_duplicates=True))
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        f"{tmp_path / 'tiny'}: will be replaced at the end by another dataset (history: 20 -> 10; duplicates: kept -> "
        "dropped); what was trained on it can then not be scored any more. To keep it, press Ctrl-C and give the new "
        "one another --name."
    ]
