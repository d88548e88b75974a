"""Arrays that do not fit into memory, in one line."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from mailcli.errors import MailError


@contextmanager
def out_of_memory_in_one_line(cell: str, remedy: str) -> Iterator[None]:
    """Raise TensorFlow's error about memory as a MailError with the shape that it names; other errors stay.

    Args:
        cell: whose arrays they are.
        remedy: a sentence without its full stop: what makes them smaller.

    Raises:
        MailError: an array does not fit into memory.
    """
    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        if "OOM" not in str(error):  # a full disk is one, too
            raise
        named = re.search(r"shape(\[[\d,]+\])", str(error))
        shape = f" of the shape {named[1]}" if named else ""
        raise MailError(f"{cell}: an array{shape} does not fit into memory. {remedy}.") from error
