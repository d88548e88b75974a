"""mail: an experiment runner for MAIL, zero-shot interest learning for new users (CIKM 2021).

`import mailcli as mail` offers the names of `__all__` to scripts and notebooks; docs/python.md explains them. Each is
imported when it is first used, so that the import itself takes no time.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = [
    "ColdStartMethod",
    "Dataset",
    "MailError",
    "Ranker",
    "Run",
    "auc",
    "compare",
    "gauc",
    "load",
    "open_run",
    "preprocess",
    "simulate",
    "train",
]

if TYPE_CHECKING:
    from mailcli.api.comparison import compare
    from mailcli.api.datasets import load, preprocess, simulate
    from mailcli.api.plugin_classes import ColdStartMethod, Ranker
    from mailcli.api.run import Run, open_run
    from mailcli.api.training import train
    from mailcli.data.dataset import Dataset
    from mailcli.errors import MailError
    from mailcli.metrics.auc import auc, gauc
else:
    #: The module that defines each name.
    _MODULES = {
        "ColdStartMethod": "mailcli.api.plugin_classes",
        "Dataset": "mailcli.data.dataset",
        "MailError": "mailcli.errors",
        "Ranker": "mailcli.api.plugin_classes",
        "Run": "mailcli.api.run",
        "auc": "mailcli.metrics.auc",
        "compare": "mailcli.api.comparison",
        "gauc": "mailcli.metrics.auc",
        "load": "mailcli.api.datasets",
        "open_run": "mailcli.api.run",
        "preprocess": "mailcli.api.datasets",
        "simulate": "mailcli.api.datasets",
        "train": "mailcli.api.training",
    }

    def __getattr__(name: str) -> Any:
        """Import a name at its first use."""
        if name not in _MODULES:
            raise AttributeError(f"module 'mailcli' has no attribute '{name}'")
        value = getattr(import_module(_MODULES[name]), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    """For completion in notebooks."""
    return sorted({*globals(), *__all__})
