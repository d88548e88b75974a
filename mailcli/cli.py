"""The console script `mail`; each command is a file of commands/."""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from typing import Any

import click

from mailcli import __version__
from mailcli.errors import Interrupted, MailError

# Both must be set before TensorFlow and Keras are imported: this project is TensorFlow's, and start-up notes are noise.
os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


class _Group(click.Group):
    """The commands; what the operating system refuses on a named path, and Ctrl-C, are told as one line."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Interrupted("Interrupted.") from None
        except OSError as error:
            if error.filename is None or isinstance(error, BrokenPipeError):
                raise
            raise MailError(f"{error.filename}: {error.strerror}. Choose another path, or mend this one.") from error


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="mail")
def main() -> None:
    """Cold-start recommendation experiments with MAIL (CIKM 2021).

    \b
    mail preprocess ml-100k          download and prepare a dataset
    mail compare --seeds 3           the paper's Table 2 on it
    mail ablate --seeds 3            the paper's Table 3
    mail run experiments/FILE.toml   a whole experiment
    mail models                      rankers and cold-start methods
    """


for path in sorted((Path(__file__).parent / "commands").glob("[!_]*.py")):
    main.add_command(getattr(importlib.import_module(f"mailcli.commands.{path.stem}"), path.stem))
