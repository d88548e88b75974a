"""AUC against the number of known behaviors of a user: where does "new" end?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from mailcli.data.batches import Batch, Batches
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.errors import MailError
from mailcli.metrics.auc import auc
from mailcli.metrics.statistics import estimate
from mailcli.reporting.plots._style import COLORS, COLUMN, MARKERS, caption, group_by_cell
from mailcli.training.run_folder import Run
from mailcli.utils.tensorflow_startup import load_tensorflow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Numbers of known behaviors (ours: denser where the first ones count).
KNOWN = (0, 1, 2, 5, 10, 20, 50, 100)


class Plot:
    """AUC of new users when their most recent 0, 1, 2, 5, 10, ... behaviors are given back."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A line per cell: the mean over seeds with its 95 % interval, on the same impressions at every number."""
        from matplotlib.figure import Figure

        title = caption(runs)
        figure = Figure(figsize=(COLUMN * 1.4, 3.0), layout="constrained")
        axis = figure.subplots()
        for number, (cell, group) in enumerate(group_by_cell(runs)):
            by_seed = [auc_by_known(run, open_dataset(data_dir, run.config.data)) for run in group]
            known = sorted(by_seed[0])
            estimates = [estimate([aucs[count] for aucs in by_seed]) for count in known]
            axis.errorbar(
                np.arange(len(known)) + 0.05 * number,
                [mean for mean, _, _ in estimates],
                yerr=[half or 0 for _, _, half in estimates],
                color=COLORS[number % len(COLORS)],
                marker=MARKERS[number % len(MARKERS)],
                markersize=3,
                linewidth=1,
                label=cell,
            )
            axis.set_xticks(range(len(known)), [str(count) for count in known])
        axis.set(xlabel="known behaviors of a new user", ylabel="AUC")
        # Below: lines that lie close together leave no room between them.
        figure.legend(loc="outside lower center", ncols=2)
        figure.suptitle(title, fontsize="small")
        return {"warmup": figure}


def auc_by_known(run: Run, dataset: Dataset) -> dict[int, float]:
    """AUC of the drawn new users of the test split, by how many of their last behaviors the model sees.

    A user with fewer behaviors shows all of them. Users without behavior in the raw data are excluded.

    Raises:
        MailError: the run was trained on another version of the dataset, or these impressions all have one label.
    """
    load_tensorflow()
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, dataset)
    dataset, config, view = predictor.dataset, run.config, predictor.test
    chosen = view.new[dataset.column("test", "user")[view.rows]] & (dataset.earlier_behaviors("test")[view.rows] > 0)
    # Only their behaviors are given back; whatever else the protocol hides stays hidden.
    revealed = predictor.test_with_all_histories._replace(rows=view.rows[chosen])
    clicks = dataset.column("test", "click")[revealed.rows]
    if not 0 < clicks.sum() < len(clicks):
        raise MailError(f"{run.folder}: all test impressions of new users have one label, so there is no AUC.")
    aucs = {}
    for known in (number for number in KNOWN if number <= config.history):
        batches = _LastBehaviors(dataset, revealed, config.history, config.batch_size)
        batches.known = known
        scores = predictor.score(batches, f"{config.cell}, seed {config.seed}: {known} behaviors known")
        aucs[known] = auc(clicks, scores if scores.ndim == 1 else scores[:, 0])
    return aucs


class _LastBehaviors(Batches):
    """Batches whose histories are cut to the last few behaviors; the rest is padding."""

    known = 0

    def in_order(self) -> Iterator[Batch]:
        for batch in super().in_order():
            cut = self.history - self.known
            batch["behaviors"][:, :cut] = 0
            batch["actions"][:, :cut] = 0
            yield batch
