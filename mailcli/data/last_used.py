"""The dataset of a command that names none: the only one in the data folder, or the one that was used or made last.

<data folder>/.last-dataset holds its name. It is written only where there are several datasets, and only by commands
that let the user choose a dataset; a data folder that cannot be written works as before, but each command has to name
one.
"""

from __future__ import annotations

import logging
from pathlib import Path

from mailcli.data.dataset import Dataset, dataset_names, open_dataset
from mailcli.errors import MailError, quoted

logger = logging.getLogger(__name__)

MARKER = ".last-dataset"


def open_chosen(data_dir: Path, name: str | None, hint: str = "--data NAME takes another") -> Dataset:
    """The dataset of that name. Without a name: the only one, or the one used or made last, which is logged.

    Args:
        data_dir: folder of the datasets.
        name: None if the user named none.
        hint: how to get another one, for the message.

    Raises:
        MailError: there is no such dataset, or there are several and it is not known which one was used last.
    """
    if name is not None:
        return open_dataset(data_dir, name)
    known = dataset_names(data_dir)
    if len(known) < 2:
        return open_dataset(data_dir, next(iter(known), ""))
    last = _last_used(data_dir)
    if last not in known:
        raise MailError(f"{data_dir} holds several datasets: name one of {quoted(known)}.")
    logger.info(f"Dataset: {last}, the one used or made last; {hint}.")
    return open_dataset(data_dir, last)


def remember(dataset: Dataset) -> None:
    """Note that a dataset was used or made, if there are others; without effect where its folder cannot be written."""
    data_dir = dataset.folder.parent
    if len(dataset_names(data_dir)) < 2 or _last_used(data_dir) == dataset.name:
        return
    try:
        # So few bytes are written at once; a line that is cut off would not count.
        (data_dir / MARKER).write_text(f"{dataset.name}\n", encoding="utf-8")
    except OSError as error:
        logger.debug(f"{data_dir / MARKER}: cannot be written ({error.strerror}); {dataset.name} is not the default.")


def _last_used(data_dir: Path) -> str:
    """The name in the marker, whether there is such a dataset or not; empty if there is none."""
    path = data_dir / MARKER
    try:
        text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    except OSError as error:
        logger.debug(f"{path}: cannot be read ({error.strerror}).")
        return ""
    return text[:-1] if text.endswith("\n") else ""
