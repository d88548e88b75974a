"""`mail schema`: schema files, which say how your own files become a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import PATH, path_option
from mailcli.cli._output import print_line
from mailcli.errors import MailError


@click.group(short_help="Schema files for your own data.")
def schema() -> None:
    """Schema files for `mail preprocess --schema`; docs/your-own-data.md lists all keys."""


@schema.command(short_help="Propose a schema file for your files.")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILES...")
@path_option("-o", "--out", metavar="FILE", text="File to write. [default: print to the terminal]")
def init(files: tuple[Path, ...], out: Path | None) -> None:
    """Propose a schema file for CSV or Parquet files, from their names and first rows.

    Guesses that may be wrong are marked with the comment `check this`.
    """
    from mailcli.preprocessing.schema_init.propose import propose
    from mailcli.utils.files import replace_file

    if out is not None and out.exists():
        raise MailError(f"{out}: exists already and is left untouched. Choose another name with -o, or move it away.")
    if out is not None and not out.parent.is_dir():
        raise MailError(f"{out}: there is no folder {out.parent}. Create it first, or choose another path with -o.")
    text = propose(files, out.name if out else "mydata.toml")
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with replace_file(out) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MailError(f"{out}: cannot be written ({error.strerror}). Choose another path with -o.") from error
    count = len({path.resolve() for path in files})
    print_line(f"{out}: proposed from {count} files. Review the lines marked `check this`.")
