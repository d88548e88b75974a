"""The runs: how many there are of each kind, and those that are damaged or stale."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from mailcli import plugins
from mailcli.data.dataset import Dataset, dataset_names
from mailcli.errors import MailError
from mailcli.reporting.health.finding import Finding
from mailcli.runs.folder import RunFolder
from mailcli.runs.inventory import DAMAGED, FINISHED, ListedRun, inspect_all
from mailcli.runs.origin import check_unchanged
from mailcli.runs.run_folders import run_folders
from mailcli.utils.sizes import size_text

_STALE = "stale: `mail evaluate` and `mail export` refuse it"


def runs(folder: Path, data_dir: Path, thorough: bool) -> list[Finding]:
    """The runs below a folder: how many there are of each kind, and those that are damaged or stale.

    Args:
        folder: of the runs; it need not exist.
        data_dir: folder of the datasets, for which a run may be stale.
        thorough: whether to compare the checksums of weights as well.
    """
    listed = [_checked(run, thorough) for run in inspect_all(run_folders(folder))]
    if not listed:
        return [Finding("runs", str(folder), "none yet; `mail train` makes one")]
    counts = Counter(run.status for run in listed)
    total = ", ".join(f"{count} {status}" for status, count in counts.items())
    findings = [Finding("runs", str(folder), f"{total}; {size_text(sum(run.bytes for run in listed))}")]
    findings += [Finding("runs", str(run.folder), DAMAGED, run.damage) for run in listed if run.status == DAMAGED]
    reasons = [(run, _staleness(run, data_dir)) for run in listed if run.status == FINISHED]
    return findings + [Finding("runs", str(run.folder), f"{_STALE}, since it {why}") for run, why in reasons if why]


def _checked(run: ListedRun, thorough: bool) -> ListedRun:
    """The run, as damaged if its weights are."""
    if not thorough or run.status != FINISHED or run.config is None or plugins.is_trivial(run.config.ranker):
        return run
    try:
        folder = RunFolder(run.folder, run.config)
        if not folder.is_copy:
            # The optimizers may have been deleted: only `mail train --continue` reads them.
            (folder.check_optimizers if folder.optimizers.exists() else folder.check_weights)()
    except MailError as error:
        return ListedRun(run.folder, DAMAGED, run.config, run.bytes, run.changed, damage=error.message)
    return run


def _staleness(run: ListedRun, data_dir: Path) -> str:
    """Why a finished run cannot be scored again; empty if it can, or if that is not known.

    It is not known if its dataset is elsewhere or damaged, or its code is outside.
    """
    config = run.config
    if config is None or config.data not in dataset_names(data_dir):
        return ""
    if any(plugins.is_external(kind, name) and not plugins.is_trivial(name) for kind, name in plugins.of_run(config)):
        # Looking at that code would import it, and TensorFlow.
        return ""
    try:
        dataset = Dataset(data_dir / config.data)
    except MailError:
        # The dataset's own finding says so.
        return ""
    try:
        check_unchanged(RunFolder(run.folder, config), dataset)
    except MailError as error:
        return error.message.partition(": ")[2].rstrip(".")
    return ""
