"""A finished run for scripts and notebooks: its settings, metrics, validation curve and scores."""

from __future__ import annotations

import logging
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mailcli.api.arguments import as_kept_path, check_flags
from mailcli.api.messages import messages_shown
from mailcli.config import RunConfig
from mailcli.runs import opening
from mailcli.runs.folder import RunFolder
from mailcli.utils.tensorflow_startup import load_tensorflow

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

    from mailcli.training.predictor import Predictor

logger = logging.getLogger(__name__)

#: Impressions per batch of `Run.predict`: the default of `mail score --batch`.
_ROWS_PER_BATCH = 4096
#: A line of the validation curve in result.json -> a line of `Run.curve`.
_CURVE_COLUMNS = {"epoch": "epoch", "step": "step", "new": "AUC new", "old": "AUC old", "all": "AUC all"}


class Run:
    """A finished run.

    Args:
        run: the folder of a finished run.
        data_dir: folder of the datasets.
    """

    def __init__(self, run: RunFolder, data_dir: Path) -> None:
        self._run, self._data_dir = run, data_dir

    def __getstate__(self) -> dict[str, Any]:
        """Without the model, which cannot be pickled and is loaded again."""
        return {name: value for name, value in vars(self).items() if name != "_predictor"}

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def folder(self) -> Path:
        """The run's folder; mailcli/runs/folder.py says what it holds."""
        return self._run.folder

    @property
    def config(self) -> RunConfig:
        """All settings."""
        return self._run.config

    @property
    def result(self) -> dict[str, Any]:
        """The contents of result.json: best epoch, validation curve, test metrics of each group of users.

        Raises:
            MailError: the file is damaged.
        """
        return self._run.result or {}

    @property
    def curve(self) -> pd.DataFrame:
        """The validation curve: a row for each validation; empty if nothing was trained by epochs."""
        import pandas as pd

        curve = pd.DataFrame(self.result.get("curve", []), columns=list(_CURVE_COLUMNS))
        return curve.rename(columns=_CURVE_COLUMNS)

    def table(self) -> pd.DataFrame:
        """AUC and GAUC of new, old and all users on the test split.

        If the same ranker without a cold-start method has been trained, which `train` does, the columns `RI ... %` say
        how much better this run is.
        """
        from mailcli.api.frames import result_frame
        from mailcli.reporting.rows import result_of, row_of
        from mailcli.reporting.tables import make_table

        row = row_of([(self._run, result_of(self._run))])
        return result_frame(make_table([row], f"{row.label} on {self.config.data}")).droplevel("row")

    def plot(self) -> Figure:
        """The validation curve as a matplotlib figure: AUC of new, old and all users, and the epoch that was kept.

        Raises:
            MailError: the run was not trained by epochs.
        """
        from mailcli.api.figure import validation_figure

        return validation_figure(self._run)

    def predict(self, frame: pd.DataFrame, *, all_histories: bool = False, quiet: bool = False) -> pd.DataFrame:
        """Score impressions with the best epoch, as `mail score` does.

        A line says how many users, items, attributes and context values are unknown, with an example of each column.

        Args:
            frame: the columns user, item, time and the context fields, with values as the dataset has them: where its
                source takes a part out of a raw value (in ml-100k the first character of `zip`), that part. For users
                who are not in the dataset also the attributes. Other columns are ignored. Times are seconds since 1970
                or have a time zone; hours and weekdays are computed from them.
            all_histories: whether users drawn as new keep their histories.
            quiet: whether only warnings are shown; attributes and context values that are unknown are one.

        Returns:
            The column `score` (and `score_ctcvr` of a ranker with two heads), with the index of the frame.

        Raises:
            MailError: a column is missing or a value is invalid, or the dataset or code has changed since training.
        """
        check_flags(all_histories=all_histories, quiet=quiet)
        load_tensorflow()
        from mailcli.serving.score_frame import score_frame

        with messages_shown(quiet):
            scores, counts = score_frame(self._predictor, frame, _ROWS_PER_BATCH, all_histories)
            logger.log(logging.WARNING if counts.has_unknown_values else logging.INFO, f"Scored {counts.text()}.")
        return scores

    @cached_property
    def _predictor(self) -> Predictor:
        """The model, loaded once."""
        from mailcli.training.predictor import Predictor

        return Predictor.open(self._run, self._data_dir)


def open_run(path: str | Path, data_dir: str | Path = "data") -> Run:
    """A finished run, such as one that `mail train` has made.

    Args:
        path: its folder, e.g. runs/ml-100k/paper/base+none/seed-0.
        data_dir: folder of the datasets; like `path`, relative to the current folder.

    Raises:
        MailError: it is not the folder of a finished run, or was changed since.
    """
    return Run(opening.open_run(as_kept_path("path", path)), as_kept_path("data_dir", data_dir))
