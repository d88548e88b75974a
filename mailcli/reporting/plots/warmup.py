"""AUC against the number of behaviors that are known of a user: where "new" ends."""

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
from mailcli.reporting.plots._style import COLORS, COLUMN, MARKERS, by_cell, caption
from mailcli.training.run_folder import Run
from mailcli.utils.tensorflow_startup import load_tensorflow

if TYPE_CHECKING:
    from matplotlib.figure import Figure

#: Known behaviors (ours: denser where the first ones count).
KNOWN = (0, 1, 2, 5, 10, 20, 50, 100)


class Plot:
    """AUC of new users when their most recent 0, 1, 2, 5, 10, ... behaviors are given back."""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A line per cell: the mean over seeds, with its 95 % interval; the same impressions at every number."""
        from matplotlib.figure import Figure

        said = caption(runs)
        figure = Figure(figsize=(COLUMN * 1.4, 3.0), layout="constrained")
        axis = figure.subplots()
        for place, (cell, group) in enumerate(by_cell(runs)):
            found = [auc_by_known(run, open_dataset(data_dir, run.config.data)) for run in group]
            known = sorted(found[0])
            each = [estimate([aucs[count] for aucs in found]) for count in known]
            axis.errorbar(
                np.arange(len(known)) + 0.05 * place,
                [estimated.mean for estimated in each],
                yerr=[estimated.half_width or 0 for estimated in each],
                color=COLORS[place % len(COLORS)],
                marker=MARKERS[place % len(MARKERS)],
                markersize=3,
                linewidth=1,
                label=cell,
            )
            axis.set_xticks(range(len(known)), [str(count) for count in known])
        axis.set(xlabel="known behaviors of a new user", ylabel="AUC")
        # Below: lines that lie close together leave no room between them.
        figure.legend(loc="outside lower center", ncols=2)
        figure.suptitle(said, fontsize="small")
        return {"warmup": figure}


def auc_by_known(run: Run, dataset: Dataset) -> dict[int, float]:
    """AUC of the test's drawn new users by the number of behaviors that the model sees of them, the most recent.

    Of a user with fewer all are seen. Users without behavior in the raw data are left out.

    Raises:
        MailError: the run was trained on another version of the dataset, or no such impressions have both labels.
    """
    load_tensorflow()
    from mailcli.training.predictor import Predictor

    predictor = Predictor.open(run, dataset)
    dataset, config, view = predictor.dataset, run.config, predictor.test
    chosen = view.new[dataset.column("test", "user")[view.rows]] & (dataset.earlier_behaviors("test")[view.rows] > 0)
    # Their behaviors are there; what else the protocol hides stays hidden.
    open_view = predictor.test_with_all_histories._replace(rows=view.rows[chosen])
    clicks = dataset.column("test", "click")[open_view.rows]
    if not 0 < clicks.sum() < len(clicks):
        raise MailError(f"{run.folder}: the new users of the test have impressions of one class only, hence no AUC.")
    found = {}
    for count in (count for count in KNOWN if count <= config.history):
        batches = _Recent(dataset, open_view, config.history, config.batch_size)
        batches.known = count
        scores = predictor.score(batches, f"{config.cell}, seed {config.seed}: {count} behaviors known")
        found[count] = auc(clicks, scores if scores.ndim == 1 else scores[:, 0])
    return found


class _Recent(Batches):
    """Batches whose histories are cut to the last few behaviors, the rest padding."""

    known = 0

    def in_order(self) -> Iterator[Batch]:
        for batch in super().in_order():
            cut = self.history - self.known
            batch["behaviors"][:, :cut] = 0
            batch["actions"][:, :cut] = 0
            yield batch
