"""Errors of a run whose ranker or method is the user's own: one line that names the file and the line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from mailcli.config import RunConfig
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.errors import DivergedError, MailError
from mailcli.models import distribute
from mailcli.models.batch_spec import to_tensors
from mailcli.models.factory import make_model
from mailcli.models.own_code import own_plugins, place_of_definition, place_of_error, short_message
from mailcli.models.step import Step, make_optimizers
from mailcli.training.dataset_checks import checked_views

#: Steps that are repeated to find where a number stops being finite (ours: a faulty formula shows in the first ones).
_STEPS = 10


@contextmanager
def own_code_errors(config: RunConfig, dataset: Dataset) -> Iterator[None]:
    """Name the line of the user's code in whatever error training or scoring raises.

    Args:
        config: of the run.
        dataset: its dataset.

    Raises:
        DivergedError: as before, with the line where the first number is not finite.
        MailError: any other error that passed the user's code.
    """
    try:
        yield
    except DivergedError as error:
        if not own_plugins(config) or distribute.replica_count() > 1:
            raise
        raise DivergedError(f"{error.message} {_first_not_finite(config, dataset)}") from error
    except MailError:
        raise
    except Exception as error:
        own = own_plugins(config)
        place = place_of_error(error, own)
        if own and not place and isinstance(error, tf.errors.OpError) and distribute.replica_count() == 1:
            # A graph does not always say which line an operation is of.
            repeated = _error_of_first_steps(config, dataset)
            error = repeated if isinstance(repeated, tf.errors.OpError) else error
            place = place_of_error(error, own)
        if not place:
            raise
        raise MailError(
            f"{config.ranker}+{config.cold_start} on {dataset.name}: {place}{short_message(error)}"
        ) from error


def _first_not_finite(config: RunConfig, dataset: Dataset) -> str:
    """A sentence about the operation that gave the first such number, if the first steps show it."""
    own = own_plugins(config)
    error = _error_of_first_steps(config, dataset, check_numerics=True)
    if error is None:
        return f"{place_of_definition(own)}all numbers of the first {_STEPS} steps are finite."
    if not isinstance(error, tf.errors.OpError):
        return f"{place_of_definition(own)}the first steps cannot be repeated one operation at a time."
    match = re.search(r'of \S+ op "(\w+)"', str(error))
    operation = f" of {match[1]}" if match else ""
    number = "NaN" if re.search(r"# of \+NaN elements: [1-9]", str(error)) else "an infinite number"
    place = place_of_error(error, own) or place_of_definition(own)
    return f"{place}the first number that is not finite is {number} in the result{operation}."


def _error_of_first_steps(config: RunConfig, dataset: Dataset, check_numerics: bool = False) -> Exception | None:
    """The error of the first training steps, each operation run on its own; None if there is none.

    It need not be an operation's: a user's code may work only as a graph.

    Args:
        config: of the run.
        dataset: its dataset.
        check_numerics: whether a result that is not finite is an error, too.
    """
    model, optimizers = make_model(dataset, config), make_optimizers(config)
    # It builds the optimizers.
    Step(model, optimizers)
    view = checked_views(dataset, config)["train"]
    batches = Batches.of_run(dataset, view, config, distribute.worker())
    tf.config.run_functions_eagerly(True)
    if check_numerics:
        tf.debugging.enable_check_numerics()
    try:
        for batch, _ in zip(batches.shuffled(config.seed, 1, 0), range(_STEPS), strict=False):
            # NaN stands for no logit there; what is computed from any other is finite as well.
            tensors = to_tensors(batch) | {"prepared": tf.zeros_like(batch["prepared"])}
            model.train_step(tensors, optimizers)
            model.probabilities(tensors)
    except Exception as error:
        return error
    finally:
        if check_numerics:
            tf.debugging.disable_check_numerics()
        tf.config.run_functions_eagerly(False)
    return None
