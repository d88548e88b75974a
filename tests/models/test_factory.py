"""Options, seeds, and the memory of earlier models."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.framework import ops

from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.models.factory import is_continuable, is_two_stage, make_model
from mailcli.models.step import make_step
from mailcli.models.two_tower import TwoTower
from tests.helpers.models import changes, mail_config, values


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"ranker.unit": "8"},
            "ranker 'base' has no option 'unit'. Did you mean 'units'? Known: 'units', 'dropout', 'product'.",
        ),
        ({"ranker.units": "8,x"}, "ranker 'base': `units` should be like (512, 256). Received: '8,x'"),
        (
            {"cold_start.sigma": "wide"},
            "cold-start method 'mail': `sigma` should be like 1.0. Received: 'wide'",
        ),
        (
            {"cold_start.reduction": "max"},
            "cold-start method 'mail': `reduction` should be one of ('mean', 'sum'). Received: reduction='max'",
        ),
    ],
)
def test_wrong_options_are_named(tiny: Dataset, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MailError) as error:
        make_model(tiny, mail_config(**settings))
    assert error.value.message == message


def test_a_flag_that_is_a_property_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the class, it is an object, which counts as true."""
    monkeypatch.syspath_prepend(str(home))
    (home / "flags_as_properties.py").write_text(
        "from mailcli.models import ColdStartMethod\nclass M(ColdStartMethod):\n"
        "    @property\n    def two_stage(self): return False\n"
        "    @property\n    def continuable(self): return False\n"
    )
    config = make_config([{"data": "tiny", "cold_start": "flags_as_properties:M"}])
    for is_set, flag in ((is_two_stage, "two_stage"), (is_continuable, "continuable")):
        with pytest.raises(MailError) as error:
            is_set(config)
        assert error.value.message == (
            f"cold-start method 'flags_as_properties:M': {flag} is a property. Expected True or False, as an attribute "
            "of the class."
        )


def check_too_large(tiny: Dataset, method: str) -> None:
    """Options for which there is not enough memory are refused in one line."""
    config = mail_config(None, cold_start=method, **{"cold_start.references": str(10**12)})
    with pytest.raises(MailError) as error:
        make_model(tiny, config)
    shape = r"\[1000000000000,\d+\]"
    assert re.fullmatch(
        rf"base\+{method} on tiny: an array of the shape {shape} does not fit into memory. Set smaller options of the "
        "ranker or the method.",
        error.value.message,
    )


@pytest.mark.slow
@pytest.mark.parametrize("method", ["match", "neighbors"])
def test_options_that_take_more_memory_than_there_is_are_one_line(tiny: Dataset, method: str) -> None:
    """TensorFlow waits for the memory for ten seconds."""
    check_too_large(tiny, method)


def test_memory_that_tensorflow_does_not_get_is_one_line(tiny: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the error of the test above, raised at once."""

    def raise_at_once(_: TwoTower) -> None:
        message = (
            "{{function_node __wrapped__Fill_device_/job:localhost/replica:0/task:0/device:CPU:0}} OOM when allocating "
        )
        message += (
            "tensor with shape[1000000000000,4] and type float on /job:localhost/replica:0 by allocator cpu [Op:Fill]"
        )
        raise tf.errors.ResourceExhaustedError(None, None, message)

    monkeypatch.setattr(TwoTower, "_make_variables", raise_at_once)
    check_too_large(tiny, "match")


def test_same_seed_same_weights(tiny: Dataset) -> None:
    first, same_seed, new_seed = (make_model(tiny, mail_config(seed=seed)) for seed in (3, 3, 4))
    assert not any(changes(values(first.variables), values(same_seed.variables)))
    assert changes(values(first.embedding.variables), values(new_seed.embedding.variables)) == [True]


@pytest.mark.slow
def test_a_second_model_leaves_nothing_behind(tiny: Dataset) -> None:
    """TensorFlow keeps custom gradients forever, with everything they refer to, such as a model's graph."""

    def registered() -> int:
        return sum(name.startswith("CustomGradient") for name in ops.gradient_registry.list())

    def trace() -> None:
        config = mail_config("base", ranker="dmr")
        make_step(make_model(tiny, config), config).trace()

    trace()
    count = registered()
    assert count > 0
    for _ in range(2):
        trace()
        assert registered() == count
