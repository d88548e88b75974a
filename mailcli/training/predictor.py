"""A finished run, ready to score."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.protocol import View, views
from mailcli.models.factory import make_model
from mailcli.models.two_tower import TwoTower
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import check_has_weights
from mailcli.runs.origin import read_with_run_ids
from mailcli.training.scorer import Scorer
from mailcli.utils.tensorflow_startup import load_tensorflow


class Predictor:
    """The best epoch of a finished run, on a dataset.

    The model is created on first use, so that cheap checks can come first.

    Args:
        run: a finished run.
        dataset: a dataset with the run's ids; `Predictor.open` reads it that way.

    Raises:
        MailError: it is the run of a trivial row, or its histories are longer than the dataset's.

    Example:
        >>> predictor = Predictor.open(open_run(folder), Path("data"))
        >>> probabilities = predictor.scorer(predictor.batches(), "scoring test")
    """

    def __init__(self, run: RunFolder, dataset: Dataset) -> None:
        check_has_weights(run)
        dataset.check_history(run.config.history)
        self.run, self.dataset = run, dataset

    @classmethod
    def open(cls, run: RunFolder, data: Path | Dataset) -> Predictor:
        """A run on its own dataset.

        Args:
            run: a finished run.
            data: the dataset, or the folder of the datasets.

        Raises:
            MailError: the dataset is missing, or it or an outside ranker or method has changed since training.
        """
        dataset = data if isinstance(data, Dataset) else open_dataset(data, run.config.data)
        return cls(run, read_with_run_ids(run, dataset))

    @property
    def config(self) -> RunConfig:
        """The run's settings."""
        return self.run.config

    @cached_property
    def model(self) -> TwoTower:
        """The model with the best epoch's weights (MailError if they do not fit)."""
        load_tensorflow()
        model = make_model(self.dataset, self.config, self.run.folder, training=False)
        self.run.restore(model)
        return model

    @cached_property
    def scorer(self) -> Scorer:
        """Computes the model's probabilities; traced once."""
        return Scorer(self.model)

    @cached_property
    def test(self) -> View:
        """The test split, with the run's draw of new users."""
        return views(self.dataset, self.config)["test"]

    @property
    def test_with_all_histories(self) -> View:
        """The test split without a draw: every user keeps their history."""
        return self.test.with_all_histories()

    def batches(self, view: View | None = None) -> Batches:
        """A view, by default the test split, in batches of the run's size."""
        return Batches.of_run(self.dataset, view or self.test, self.config)
