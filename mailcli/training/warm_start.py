"""The run that another one goes on with: its weights and moments put into a larger table, its metrics set beside."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.numbering import Numbering, RenumberedDataset, current_numbering, save_numbering
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.models.embedding import FeatureEmbedding
from mailcli.models.step import Step
from mailcli.models.two_tower import TwoTower
from mailcli.training.checkpoints import read_variables
from mailcli.training.evaluate import Metrics, Scorer, measure
from mailcli.training.predictor import Predictor
from mailcli.training.run_folder import Run

#: The variable of an optimizer that is a setting.
_RATE = "learning_rate"


@dataclass(frozen=True)
class ContinuedRun(Run):
    """A run that goes on with another; its folder holds the ids of its table."""

    numbering: Numbering | None = None

    def begin(self) -> None:
        """Make the folder anew, with config.toml and the ids."""
        super().begin()
        if self.numbering is not None:
            save_numbering(self.vocabularies, self.numbering)


class Origin:
    """What a run goes on with.

    Args:
        run: finished, with its optimizers.
        dataset: its dataset, read with its ids.
    """

    def __init__(self, run: Run, dataset: Dataset) -> None:
        self._run, self._dataset = run, dataset
        self._weights: list[NDArray] = []

    def load(self) -> None:
        """Read the best epoch's weights."""
        model = Predictor(self._run, self._dataset).model
        self._weights = [np.asarray(weight) for weight in model.weights]
        self._embedding = model.embedding

    def forget(self) -> None:
        """Let go of the weights."""
        self._weights = []

    def into(self, model: TwoTower, step: Step) -> None:
        """Put weights and moments into a model whose vocabularies begin with those of the run.

        Rows of new ids keep what they are: weights as they were initialized, moments zero.

        Raises:
            MailError: a variable has another shape, and not because of new ids.
        """
        grow = _Growth(self._run, self._embedding, model.embedding)
        if len(self._weights) != len(model.weights):
            raise MailError(f"{self._run.folder}: has {len(self._weights)} weights, and now {len(model.weights)}.")
        for old, weight in zip(self._weights, model.weights, strict=True):
            weight.assign(grow(old, weight))
        moments = read_variables(self._run.optimizers)
        if len(moments) != len(step.variables):
            raise MailError(
                f"{self._run.optimizers}: holds {len(moments)} variables, expected {len(step.variables)}. Train the "
                "run again in another --runs folder."
            )
        for read, variable in zip(moments, step.variables, strict=True):
            if variable.name != _RATE:
                variable.assign(grow(read(), variable))

    def days(self, config: RunConfig, dataset: Dataset, scorer: Scorer, after: Metrics) -> list[dict[str, Any]]:
        """What the test splits of both days say of the run and of what it became: forgetting and gain.

        Args:
            config: of the new run.
            dataset: its dataset, read with its ids.
            scorer: of its best epoch.
            after: its test metrics.

        Returns:
            For each day its dataset, and the metrics before and after.
        """
        earlier = RenumberedDataset(self._dataset.folder, current_numbering(dataset))
        later = RenumberedDataset(dataset.folder, current_numbering(self._dataset))
        after_earlier = _test(earlier, config, scorer, "the day before")
        before_later = _test(later, config, Predictor(self._run, later).score, "the run before")
        before_earlier: Metrics = (self._run.result or {})["test"]
        return [
            {"dataset": earlier.label, "before": before_earlier, "after": after_earlier},
            {"dataset": later.label, "before": before_later, "after": after},
        ]


def _test(dataset: Dataset, config: RunConfig, scorer: Scorer, title: str) -> Metrics:
    """Metrics of a dataset's test split."""
    view = views(dataset, config)["test"]
    batches = Batches(dataset, view, config.history, config.batch_size)
    return measure(dataset, view, scorer(batches, f"scoring {title}"))


class _Growth:
    """Variables of a run -> the same for larger vocabularies.

    What has a row for each row of the shared table, or for each id of a vocabulary, keeps the rows of the known ids.
    """

    def __init__(self, run: Run, old: FeatureEmbedding, new: FeatureEmbedding) -> None:
        self._run = run
        self._rows = old.rows, new.rows
        self._sizes = {(size, new.vocabulary_sizes[name]) for name, size in old.vocabulary_sizes.items()}
        self._places = np.concatenate(list(_places(old, new)))

    def __call__(self, old: NDArray, variable: Any) -> NDArray:
        """The value for a variable; `old` is the run's."""
        shape = tuple(variable.shape)
        if old.shape == shape:
            return old
        if old.ndim and old.shape[1:] == shape[1:]:
            sizes = old.shape[0], shape[0]
            found = np.array(variable)
            if sizes == self._rows:
                found[self._places] = old
                return found
            if sizes in self._sizes:
                found[: len(old)] = old
                return found
        raise MailError(
            f"{self._run.folder}: its variable {variable.path} has the shape {old.shape}, expected {shape}: it does "
            "not grow with the ids. Train anew on this dataset instead."
        )


def _places(old: FeatureEmbedding, new: FeatureEmbedding) -> Iterator[NDArray[np.int64]]:
    """[old rows], the row of each in the new table, in parts."""
    for name in old.start:
        yield new.start[name] + np.arange(old.vocabulary_sizes[name])
    yield new.first_action_row + np.arange(old.actions)
