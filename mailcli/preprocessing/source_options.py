"""Which source reads the raw files, and the options of some sources: which label is the click, which log the test."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from mailcli import plugins
from mailcli.errors import MailError, did_you_mean, quoted
from mailcli.preprocessing.sources._base import RawData

#: The source of files that a schema file describes.
TABULAR = "tabular"


def chosen_options(reader: type[RawData], source: str, given: Mapping[str, str | None]) -> dict[str, str]:
    """The value of each option that the source has (MailError: it has no such option or value).

    Args:
        reader: the source.
        source: its name.
        given: what the user chose; None for the source's default.
    """
    for option, value in given.items():
        known = reader.options.get(option, ())
        if value is not None and not known:
            raise MailError(f"--{option} {value}: the source '{source}' has no such option. Leave it out.")
        if value is not None and value not in known:
            raise MailError(f"--{option} is '{value}'. Expected one of {quoted(known)}.{did_you_mean(value, known)}")
    return {option: given.get(option) or values[0] for option, values in reader.options.items()}


def default_name(reader: type[RawData], chosen: Mapping[str, str]) -> str:
    """The dataset's name: the source's own, followed by all values that are not the default."""
    others = [value for option, value in chosen.items() if value != reader.options[option][0]]
    return "-".join([reader.name, *others]).replace("_", "-")


def dataset_name(source: str, given: Mapping[str, str]) -> str:
    """The dataset's name for a source, by its name, with options (MailError: it has no such option or value)."""
    reader = plugins.load(plugins.SOURCES, source)
    return default_name(reader, chosen_options(reader, source, given))


def source_and_name(source: str, name: str | None, schema: Path | None) -> tuple[str, str | None]:
    """The source that reads the raw files, and the dataset's name if it is not the source's own.

    Args:
        source: a source; with a schema file the dataset's name.
        name: the value of --name.
        schema: the schema file; None without one.

    Raises:
        MailError: the source is unknown, or the dataset is named twice.
    """
    if schema is None:
        # Own files are read by the source `tabular`, which is chosen by --schema and not by its name.
        try:
            plugins.check(plugins.SOURCES, source, hidden=[TABULAR])
        except MailError as error:
            raise MailError(f"{error.message} Files of your own need --schema FILE.") from error
        return source, name
    if name is not None:
        raise MailError(
            f"--name {name}: with --schema the argument '{source}' is the dataset's name. Leave out --name."
        )
    return TABULAR, source
