"""The datasets, and what is broken about them."""

from __future__ import annotations

from pathlib import Path

from mailcli.data.dataset import Dataset, dataset_names
from mailcli.data.schema import SPLITS
from mailcli.errors import MailError
from mailcli.reporting.health.finding import Finding
from mailcli.utils.files import size_and_time
from mailcli.utils.sizes import size_text


def datasets(data_dir: Path, thorough: bool) -> list[Finding]:
    """The datasets of a folder: whether dataset.json, and the types, lengths and sizes of all columns, are whole.

    Args:
        data_dir: folder of the datasets; it need not exist.
        thorough: whether to read all values and compare their checksums as well.
    """
    names = dataset_names(data_dir)
    if not names:
        return [Finding("datasets", str(data_dir), "none yet; `mail preprocess ml-100k` makes one")]
    return [_dataset(data_dir / name, thorough) for name in names]


def _dataset(folder: Path, thorough: bool) -> Finding:
    size, _ = size_and_time(folder)
    try:
        dataset = Dataset(folder)
        if thorough:
            dataset.check_all_values()
    except MailError as error:
        return Finding("datasets", folder.name, size_text(size), error.message)
    impressions = sum(dataset.counts[split] for split in SPLITS)
    return Finding("datasets", folder.name, f"whole: {impressions:,} impressions, {size_text(size)}")
