"""`mail preprocess`: raw files in, a dataset out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli import plugins
from mailcli.cli._completion import plugin_names
from mailcli.cli._options import DATA_DIR
from mailcli.cli._types import SHARE, path_option
from mailcli.config import RunConfig
from mailcli.errors import quoted


@click.command()
@click.argument("source", metavar="SOURCE", shell_complete=plugin_names(plugins.SOURCES))
@path_option(
    "--schema",
    metavar="FILE",
    text="TOML file that describes your own files; SOURCE is then the dataset's name. `mail schema init` proposes one.",
)
@path_option("--raw", text="Folder of the raw files. [default: DATA_DIR/raw/SOURCE]")
@click.option("--name", help="Name of the dataset. [default: SOURCE, and a --label or --test that is not the default]")
@click.option(
    "--label",
    metavar="LABEL",
    help="Label of kuairand-pure: click, long_view or like. [default: click]",
)
@click.option(
    "--test",
    metavar="LOG",
    help="Test split of kuairand-pure: standard, or random for the videos that were shown at random. "
    "[default: standard]",
)
@click.option(
    "--history",
    type=int,
    default=RunConfig.history,
    show_default=True,
    help="n_v, the maximum number of behaviors per impression.",
)
@click.option(
    "--sample",
    type=SHARE,
    default=1.0,
    metavar="USERS",
    help="Share of users to keep, e.g. 1%, chosen by a hash of their ids. [default: all]",
)
@click.option(
    "--drop-duplicates", is_flag=True, help="Keep only one of several identical behaviors. [default: keep all]"
)
@click.option(
    "--max-bad-rows",
    type=SHARE,
    default=0.001,
    metavar="SHARE",
    help="Share of a file's rows that may be unusable and set aside. [default: 0.1%]",
)
@click.option(
    "--expect-official", is_flag=True, help="Reject files that differ from the published row counts and cardinalities."
)
@click.option(
    "--engine",
    default="duckdb",
    metavar="NAME",
    show_default=True,
    shell_complete=plugin_names(plugins.ENGINES),
    help=f"Engine: {quoted(plugins.names(plugins.ENGINES))}; Spark needs the extra `spark` (docs/installation.md) "
    "and reads neither schema files nor kuairand-pure.",
)
@click.option("--spark-master", metavar="URL", help="Spark cluster. [default: this machine]")
@click.option(
    "--memory-limit",
    metavar="SIZE",
    default="2GB",
    show_default=True,
    help="Memory limit of the engine, which spills to disk beyond it.",
)
@click.option("--threads", type=int, help="Threads of the engine. [default: all cores]")
@path_option("--temp-dir", text="Folder for intermediate files. [default: --data-dir]")
@DATA_DIR
def preprocess(
    source: str, schema: Path | None, raw: Path | None, name: str | None, data_dir: Path, **options: Any
) -> None:
    """Make a dataset from raw files. SOURCE is ml-100k (downloaded automatically), alimama, kuairand-pure, or a name of
    your own.

    With --schema FILE any CSV or Parquet files can be used: mail preprocess NAME --schema mydata.toml.

    Unusable rows are set aside in the dataset's folder rejected/; summary.md says what was found. After Ctrl-C or a
    kill, run the same command to resume from the last finished stage.
    """
    raw = raw or data_dir / "raw" / source
    plugins.check(plugins.ENGINES, options["engine"])
    from mailcli.data.last_used import remember
    from mailcli.preprocessing.pipeline import PreprocessOptions
    from mailcli.preprocessing.pipeline import preprocess as run
    from mailcli.preprocessing.source_options import source_and_name
    from mailcli.reporting.describe import print_description

    source, name = source_and_name(source, name, schema)
    dataset = run(source, raw, data_dir, name, PreprocessOptions(schema=schema, **options))
    remember(dataset)
    print_description(dataset)
