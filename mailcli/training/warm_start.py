"""Continuing a finished run on another dataset: its weights and moments in a larger table, both days measured."""

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
from mailcli.models.embedding import TableLayout
from mailcli.models.step import Step
from mailcli.models.table.rows import parts, write_parts
from mailcli.models.two_tower import TwoTower
from mailcli.runs.folder import RunFolder
from mailcli.runs.remedy import TRAIN_ELSEWHERE
from mailcli.runs.variable_files import StoredVariable, open_variables
from mailcli.training.evaluate import Metrics, measure
from mailcli.training.predictor import Predictor
from mailcli.training.scorer import Scorer

#: The optimizers' variable that is a setting: the new run has its own.
_LEARNING_RATE = "learning_rate"


@dataclass(frozen=True)
class ContinuedRun(RunFolder):
    """A run that continues another; its folder also holds the ids of its embedding table."""

    numbering: Numbering | None = None

    def begin(self) -> None:
        """Empty the folder and write config.toml and the ids."""
        super().begin()
        if self.numbering is not None:
            save_numbering(self.vocabularies, self.numbering)


class WarmStart:
    """Starts a run from the weights and optimizer moments of another one, the parent.

    Args:
        run: the parent, finished, with its optimizers.
        dataset: the parent's dataset, read with its ids.
    """

    def __init__(self, run: RunFolder, dataset: Dataset) -> None:
        self._run, self._dataset = run, dataset
        self._weights: list[NDArray] = []

    def load(self) -> None:
        """Read the weights of the parent's best epoch."""
        model = Predictor(self._run, self._dataset).model
        self._weights = [np.asarray(weight) for weight in model.whole(model.weights)]
        self._layout = model.embedding.layout

    def release(self) -> None:
        """Free the memory of the weights."""
        self._weights = []

    def initialize(self, model: TwoTower, step: Step) -> None:
        """Copy weights and moments into a model whose vocabularies start with the parent's.

        Rows of new ids are left as they are: newly initialized weights, zero moments.

        Raises:
            MailError: a variable has another shape, and not because of new ids.
        """
        expander = _VariableExpander(self._run, self._layout, model.embedding.layout)
        weights = model.whole(model.weights)
        if len(self._weights) != len(weights):
            raise MailError(
                f"{self._run.folder}: has {len(self._weights)} weights, but the new model has {len(weights)}."
            )
        for old, weight in zip(self._weights, weights, strict=True):
            expander.expand(old.shape, _parts(old), weight)
        with open_variables(self._run.optimizers) as moments:
            if len(moments) != len(step.variables):
                raise MailError(
                    f"{self._run.optimizers}: holds {len(moments)} variables, expected {len(step.variables)}. "
                    f"{TRAIN_ELSEWHERE}"
                )
            for moment, variable in zip(moments, step.variables, strict=True):
                if variable.name != _LEARNING_RATE:
                    expander.expand(moment.shape, _checked(self._run, moment, variable), variable)

    def measure_days(self, config: RunConfig, dataset: Dataset, scorer: Scorer, after: Metrics) -> list[dict[str, Any]]:
        """Metrics of the parent (before) and the new run (after) on the test splits of both days: forgetting and gain.

        Args:
            config: of the new run.
            dataset: the new run's dataset, read with its ids.
            scorer: of the new run's best epoch.
            after: the new run's test metrics.

        Returns:
            For each day its dataset, and the metrics before and after.
        """
        earlier = RenumberedDataset(self._dataset.folder, current_numbering(dataset))
        later = RenumberedDataset(dataset.folder, current_numbering(self._dataset))
        after_earlier = _measure_test(earlier, config, scorer, "the day before")
        before_later = _measure_test(later, config, Predictor(self._run, later).scorer, "the run before")
        before_earlier: Metrics = (self._run.result or {})["test"]
        return [
            {"dataset": earlier.display_name, "before": before_earlier, "after": after_earlier},
            {"dataset": later.display_name, "before": before_later, "after": after},
        ]


def _parts(array: NDArray) -> Iterator[NDArray]:
    """The rows of an array, some at a time; without axes, all of it."""
    return (array[rows] for rows in parts(array.shape, array.itemsize)) if array.shape else iter([array])


def _checked(run: RunFolder, moment: StoredVariable, variable: Any) -> Iterator[NDArray]:
    """The parts of a moment (MailError if it has another type than the variable, or is not finite)."""
    for part in moment.parts:
        if moment.dtype != str(variable.dtype) or not np.isfinite(part).all():
            raise MailError(
                f"{run.optimizers}: is damaged: {variable.path} is {moment.dtype}, expected finite {variable.dtype}. "
                f"{TRAIN_ELSEWHERE}"
            )
        yield part


def _measure_test(dataset: Dataset, config: RunConfig, scorer: Scorer, title: str) -> Metrics:
    """Metrics of a dataset's test split."""
    view = views(dataset, config)["test"]
    batches = Batches.of_run(dataset, view, config)
    return measure(dataset, view, scorer(batches, f"scoring {title}"))


class _VariableExpander:
    """Expands a run's variables to larger vocabularies.

    A variable with a row for each row of the shared table, or for each id of a vocabulary, keeps the rows of the known
    ids; the rows of new ids are those of the new variable. So do the columns of one with a column for each id.
    """

    def __init__(self, run: RunFolder, old: TableLayout, new: TableLayout) -> None:
        self._run = run
        self._table_rows = old.rows, new.rows
        self._vocabulary_sizes = {(size, new.vocabulary_sizes[name]) for name, size in old.vocabulary_sizes.items()}
        self._positions = np.concatenate(list(_new_positions(old, new)))

    def expand(self, old_shape: tuple[int, ...], old: Iterator[NDArray], variable: Any) -> None:
        """Set a variable, given the shape and the parts of its value in the old run (MailError: they do not fit)."""
        shape = tuple(variable.shape)
        sizes = list(zip(old_shape, shape, strict=False)) if len(old_shape) == len(shape) else []
        if old_shape == shape:
            write_parts(variable, old)
        elif sizes and sizes[0] == self._table_rows and old_shape[1:] == shape[1:]:
            write_parts(variable, old, self._positions)
        elif sizes and all(size in self._vocabulary_sizes or size[0] == size[1] for size in sizes):
            value = np.array(variable)
            value[tuple(map(slice, old_shape))] = np.concatenate(list(old))
            variable.assign(value)
        else:
            raise MailError(
                f"{self._run.folder}: its variable {variable.path} has the shape {old_shape}, expected {shape}: it "
                "does not grow with the ids. Train from scratch on this dataset instead."
            )


def _new_positions(old: TableLayout, new: TableLayout) -> Iterator[NDArray[np.int64]]:
    """[old rows], the row of each in the new table, in parts."""
    for name in old.first_row:
        yield new.first_row[name] + np.arange(old.vocabulary_sizes[name])
    yield new.first_action_row + np.arange(old.actions)
