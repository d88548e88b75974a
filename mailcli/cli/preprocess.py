"""Raw files in, a dataset out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mailcli import plugins
from mailcli.cli._options import DATA_DIR, SHARE
from mailcli.config import RunConfig
from mailcli.errors import MailError, quoted


@click.command()
@click.argument("source", metavar="SOURCE")
@click.option(
    "--schema",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="TOML file that maps files of your own; SOURCE is then the dataset's name. `mail schema init` proposes one.",
)
@click.option("--raw", type=click.Path(path_type=Path), help="Folder of the raw files. [default: data/raw/SOURCE]")
@click.option("--name", help="Name of the dataset. [default: SOURCE]")
@click.option(
    "--history",
    type=int,
    default=RunConfig.history,
    show_default=True,
    help="n_v, the most behaviors that an impression sees.",
)
@click.option(
    "--sample",
    type=SHARE,
    default=1.0,
    metavar="USERS",
    help="Share of the users to keep, e.g. 1%, drawn by a hash of their id. [default: all]",
)
@click.option(
    "--drop-duplicates", is_flag=True, help="Dataset behaviors alike in all columns once. [default: as in the log]"
)
@click.option(
    "--max-bad-rows",
    type=SHARE,
    default=0.001,
    metavar="SHARE",
    help="How many of a file's rows may be unusable and set aside. [default: 0.1%]",
)
@click.option("--expect-official", is_flag=True, help="Refuse files without the published rows and cardinalities.")
@click.option(
    "--engine",
    default="duckdb",
    metavar="NAME",
    show_default=True,
    help=f"{quoted(plugins.names(plugins.ENGINES))}; Spark needs the extra mail[spark].",
)
@click.option("--spark-master", metavar="URL", help="Spark cluster. [default: this machine]")
@click.option(
    "--memory-limit",
    metavar="SIZE",
    default="2GB",
    show_default=True,
    help="What the engine may use; the rest goes to disk.",
)
@click.option("--threads", type=int, help="Threads of the engine. [default: all cores]")
@click.option(
    "--temp-dir", type=click.Path(path_type=Path), help="Folder for intermediate files. [default: --data-dir]"
)
@DATA_DIR
def preprocess(
    source: str, schema: Path | None, raw: Path | None, name: str | None, data_dir: Path, **options: Any
) -> None:
    """Make a dataset from raw files. SOURCE is ml-100k (downloaded by itself), alimama, or a name of yours.

    With --schema FILE the files may be any CSV or Parquet files: mail preprocess NAME --schema mydata.toml.

    Rows that cannot be used are set aside in the dataset's folder rejected/, what was found is in its summary.md.
    After Ctrl-C or a kill the same command goes on from the last finished stage.
    """
    raw = raw or data_dir / "raw" / source
    plugins.check(plugins.ENGINES, options["engine"])
    if schema is None:
        # Files of one's own are asked for by --schema, not by this name.
        plugins.check(plugins.SOURCES, source, hidden=["tabular"])
    else:
        if name is not None:
            raise MailError(f"--name {name}: with --schema the dataset's name is the argument, '{source}'. Give one.")
        source, name = "tabular", source
    from mailcli.preprocessing.pipeline import Options
    from mailcli.preprocessing.pipeline import preprocess as run
    from mailcli.reporting.describe import print_description

    print_description(run(source, raw, data_dir, name, Options(schema=schema, **options)))
