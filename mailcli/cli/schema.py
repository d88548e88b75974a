"""`mail schema`: schema files, which say how your own files become a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._output import print_line
from mailcli.cli._types import PATH, path_option
from mailcli.errors import MailError, counted
from mailcli.utils.paths import real_path


@click.group(short_help="Schema files for your own data.")
def schema() -> None:
    """Schema files for `mail preprocess --schema`; docs/your-own-data.md lists all keys."""


@schema.command(short_help="Propose a schema file for your files.")
@click.argument("files", nargs=-1, required=True, type=PATH, metavar="FILES...")
@path_option("-o", "--out", metavar="FILE", text="File to write. [default: print to the terminal]")
@click.option("--user", metavar="COLUMN", help="Column of the users, if names and values do not show it.")
@click.option("--item", metavar="COLUMN", help="Column of the items.")
@click.option("--time", metavar="COLUMN", help="Column of the times.")
@click.option("--click", "label", metavar="COLUMN", help="Column of the label: clicks, ratings, or numbers to cut.")
def init(
    files: tuple[Path, ...], out: Path | None, user: str | None, item: str | None, time: str | None, label: str | None
) -> None:
    """Propose a schema file for CSV or Parquet files, from their names and first rows.

    Guesses that may be wrong are marked with the comment `check this`. The terminal names the columns that are left
    out, with the reason, and shows a command that rewrites the files where that helps.
    """
    from mailcli.preprocessing.schema_init.propose import propose
    from mailcli.utils.files import replace_file

    if out is not None and out.exists():
        raise MailError(f"{out}: exists already and is left untouched. Choose another name with -o, or move it away.")
    if out is not None and not out.parent.is_dir():
        raise MailError(f"{out}: there is no folder {out.parent}. Create it first, or choose another path with -o.")
    roles = {"user": user, "item": item, "time": time, "click": label}
    text = propose(files, out.name if out else "mydata.toml", {role: name for role, name in roles.items() if name})
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with replace_file(out) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MailError(f"{out}: cannot be written ({error.strerror}). Choose another path with -o.") from error
    count = len({real_path(path) for path in files})
    print_line(f"{out}: proposed from {counted(count, 'file')}. Review the lines marked `check this`.")
