"""Keras without the user's keras.json: a run's numbers depend on nothing but its config."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

#: Keras' own defaults, with which all runs so far were made.
_FLOATX, _EPSILON, _IMAGE_DATA_FORMAT = "float32", 1e-7, "channels_last"
#: Environment variables that would change Keras' behavior.
_SETTINGS = ("KERAS_NNX_ENABLED", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH")


def import_keras() -> None:
    """Import Keras with the settings of every run, whatever keras.json and the environment say.

    The file may name another backend or float type, or be invalid, which Keras answers with a traceback.
    """
    if "keras" not in sys.modules:
        with (
            tempfile.TemporaryDirectory() as empty,
            _environment({"KERAS_HOME": empty, "KERAS_BACKEND": "tensorflow", **dict.fromkeys(_SETTINGS)}),
        ):
            import keras
        _restore_downloads()
    import keras

    keras.config.set_floatx(_FLOATX)
    keras.config.set_epsilon(_EPSILON)
    keras.config.set_image_data_format(_IMAGE_DATA_FORMAT)


@contextmanager
def _environment(values: Mapping[str, str | None]) -> Iterator[None]:
    """Set environment variables within the block; None unsets one."""
    before = {name: os.environ.get(name) for name in values}
    _set_environment(values)
    try:
        yield
    finally:
        _set_environment(before)


def _set_environment(values: Mapping[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _restore_downloads() -> None:
    """Let `keras.utils.get_file` of a user's ranker keep its downloads where they always are."""
    from keras.src.backend import config

    # Keras remembers the folder privately, at its import.
    config._KERAS_DIR = os.environ.get("KERAS_HOME") or os.path.join(os.path.expanduser("~"), ".keras")
