"""Datasets for scripts and notebooks: simulated, made from raw files, opened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from mailcli.api.arguments import arguments_in_errors, as_path, as_type, check_flags, check_text
from mailcli.api.messages import messages_shown
from mailcli.data.dataset import Dataset
from mailcli.data.last_used import open_chosen, remember
from mailcli.errors import MailError, did_you_mean, quoted, shorten

if TYPE_CHECKING:
    from mailcli.simulation.alimama import Summary


def load(name: str | None = None, data_dir: str | Path = "data") -> Dataset:
    """A dataset that `mail preprocess` or `preprocess` has made.

    Args:
        name: its name; None for the only one in the folder, or of several the one used or made last, which is logged.
        data_dir: folder of the datasets.

    Raises:
        MailError: there is no such dataset, or it is damaged.
    """
    if not (name is None or (isinstance(name, str) and name)):
        raise MailError(f"name is {shorten(name)}. Expected the name of a dataset in data_dir, e.g. 'ml-100k'.")
    with messages_shown(quiet=False), arguments_in_errors("data_dir"):
        dataset = open_chosen(as_path("data_dir", data_dir), name, "load(NAME) opens another")
    remember(dataset)
    return _from_anywhere(dataset)


def preprocess(
    source: str,
    raw: str | Path | None = None,
    *,
    name: str | None = None,
    schema: str | Path | None = None,
    data_dir: str | Path = "data",
    quiet: bool = False,
    **options: Any,
) -> Dataset:
    """Make a dataset from raw files, as `mail preprocess` does; an existing one of that name is replaced.

    Args:
        source: ml-100k (downloaded automatically), alimama, kuairand-pure; with a schema file the dataset's name.
        raw: folder of the raw files; None for data_dir/raw/SOURCE.
        name: name of the dataset; None for the source's own.
        schema: the TOML file that describes your own files.
        data_dir: folder of the datasets.
        quiet: whether only warnings are shown, no notes or progress.
        options: the other options of `mail preprocess`, e.g. `history=50`, `sample=0.01`, `max_bad_rows=0.01`.

    Raises:
        MailError: an option or the raw data is not usable.
    """
    from mailcli.preprocessing.pipeline import PreprocessOptions
    from mailcli.preprocessing.pipeline import preprocess as run
    from mailcli.preprocessing.source_options import source_and_name

    check_text("source", source)
    if name is not None:
        check_text("name", name)
    check_flags(quiet=quiet)
    folder = as_path("data_dir", data_dir)
    raw = folder / "raw" / source if raw is None else as_path("raw", raw)
    checked = PreprocessOptions(
        schema=None if schema is None else as_path("schema", schema), **_checked(PreprocessOptions, options)
    )
    names = [field.name for field in fields(PreprocessOptions)]
    with messages_shown(quiet), arguments_in_errors("raw", "name", *names):
        reader, name = source_and_name(source, name, checked.schema)
        dataset = run(reader, raw, folder, name, checked)
    remember(dataset)
    return _from_anywhere(dataset)


def simulate(
    source: str = "alimama",
    *,
    users: int | None = None,
    out: str | Path | None = None,
    data_dir: str | Path = "data",
    quiet: bool = False,
    **settings: Any,
) -> Summary:
    """Write raw files simulated by a latent-interest model, as `mail simulate` does; `preprocess` reads them.

    Args:
        source: alimama.
        users: number of users; it must be given.
        out: folder for the files; None for data_dir/raw/SOURCE, where `preprocess` looks for them.
        data_dir: folder of the datasets.
        quiet: whether only warnings are shown, no notes or progress.
        settings: the other options of `mail simulate`, e.g. `seed=1`, `attribute_strength=0.9`, `conversions=True`.

    Returns:
        What was written, and the AUC and GAUC of the true click probability, which no model can beat.

    Raises:
        MailError: a setting is not usable, or the folder holds other files.
    """
    from mailcli.simulation.alimama import check_source, simulate_alimama
    from mailcli.simulation.world import Settings

    check_text("source", source)
    check_source(source)
    check_flags(quiet=quiet)
    out = as_path("data_dir", data_dir) / "raw" / source if out is None else as_path("out", out)
    if users is None:
        raise MailError("users is missing. Expected the number of users, e.g. users=1000.")
    given = _checked(Settings, {"users": users, **settings})
    with messages_shown(quiet), arguments_in_errors("out", *(field.name for field in fields(Settings))):
        return simulate_alimama(Settings(**given), out)


def _from_anywhere(dataset: Dataset) -> Dataset:
    """A dataset by its path from the root: the current folder may change before it is used."""
    return Dataset(dataset.folder.absolute())


def _checked(kind: Any, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a dataclass; paths may be given as texts, floats as whole numbers.

    Raises:
        MailError: a name is unknown, or a value has another type.
    """
    types = get_type_hints(kind)
    known = [field.name for field in fields(kind)]
    values = {}
    for name, value in given.items():
        if name not in known:
            raise MailError(f"unknown option '{name}'.{did_you_mean(name, known)} Known: {quoted(known)}.")
        values[name] = as_type(name, value, types[name])
    return values
