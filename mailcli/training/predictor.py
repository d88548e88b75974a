"""A finished run, ready to score."""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset, open_dataset
from mailcli.data.protocol import View, views
from mailcli.models.factory import make_model
from mailcli.models.two_tower import TwoTower
from mailcli.training.evaluate import Scorer
from mailcli.training.run_folder import Run
from mailcli.training.run_registry import read_as
from mailcli.utils.tensorflow_startup import load_tensorflow


class Predictor:
    """The best epoch of a finished run, on a dataset.

    The model is made when it is first asked for, so that all that is cheap can be checked before.

    Args:
        run: finished.
        dataset: read with the run's ids, as `Predictor.open` does.

    Raises:
        MailError: the run's histories are longer than those the dataset keeps.

    Example:
        >>> predictor = Predictor.open(open_run(folder), Path("data"))
        >>> probabilities = predictor.score(predictor.batches(), "scoring test")
    """

    def __init__(self, run: Run, dataset: Dataset) -> None:
        dataset.check_history(run.config.history)
        self.run, self.dataset = run, dataset

    @classmethod
    def open(cls, run: Run, data: Path | Dataset) -> Predictor:
        """A run on its own dataset, given as it is or by the folder of the datasets.

        Raises:
            MailError: the dataset is missing, or it or code from outside has changed since the run.
        """
        dataset = data if isinstance(data, Dataset) else open_dataset(data, run.config.data)
        return cls(run, read_as(run, dataset))

    @property
    def config(self) -> RunConfig:
        """The run's settings."""
        return self.run.config

    @cached_property
    def model(self) -> TwoTower:
        """The model with the best epoch's weights (MailError when they do not fit)."""
        load_tensorflow()
        model = make_model(self.dataset, self.config)
        self.run.restore(model)
        return model

    @cached_property
    def score(self) -> Scorer:
        """The model's probabilities; traced once."""
        return Scorer(self.model)

    @cached_property
    def test(self) -> View:
        """The test split under the run's draw of new users."""
        return views(self.dataset, self.config)["test"]

    @property
    def test_with_all_histories(self) -> View:
        """The test split with no user drawn as new."""
        return self.test._replace(new=np.zeros_like(self.test.new))

    def batches(self, view: View | None = None) -> Batches:
        """A view in batches of the run's size; the test split by default."""
        return Batches(self.dataset, view or self.test, self.config.history, self.config.batch_size)
