"""Schema files: how files of your own become a dataset."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.errors import MailError


@click.group(short_help="Schema files, for data of your own.")
def schema() -> None:
    """Schema files for `mail preprocess --schema`: docs/your-own-data.md has all keys."""


@schema.command(short_help="Propose a schema file for some files.")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILES...")
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), metavar="FILE", help="Where to write it. [default: the terminal]"
)
def init(files: tuple[Path, ...], out: Path | None) -> None:
    """Propose a schema file for some CSV or Parquet files, from their names and first rows.

    What was guessed and may be wrong bears the comment `check this`.
    """
    from mailcli.preprocessing.schema_init.propose import propose
    from mailcli.utils.files import write_atomically

    if out is not None and out.exists():
        raise MailError(f"{out}: exists, and is left as it is. Choose another name with -o, or move it away.")
    if out is not None and not out.parent.is_dir():
        raise MailError(f"{out}: there is no folder {out.parent}. Make it first, or choose another with -o.")
    text = propose(files, out.name if out else "mydata.toml")
    if out is None:
        click.echo(text, nl=False)
        return
    try:
        with write_atomically(out) as partial:
            partial.write_text(text, encoding="utf-8")
    except OSError as error:
        raise MailError(f"{out}: cannot be written ({error.strerror}). Choose another with -o.") from error
    count = len({path.resolve() for path in files})
    click.echo(f"{out}: proposed from {count} files; look at its lines with `check this`.")
