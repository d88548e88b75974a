"""Rows of raw files, counted independently of the engine that reads them: none may be lost silently."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

#: Characters that make up a blank line, together with its end.
BLANK = " \t\v\f"
#: A longer line without an end in sight is not kept: it is one row, whatever is in it (ours).
_LONGEST_KEPT = 1 << 26
#: Shorter texts are counted line by line, which is faster than NumPy (ours).
_SHORT = 1 << 12
_NEWLINE = ord("\n")


@dataclass(frozen=True)
class RowFormat:
    """How the rows of a text file are written."""

    separator: str
    quote: str
    """One byte; empty: quotes have no meaning."""
    encoding: str
    has_header: bool
    columns: int

    @property
    def blank(self) -> str:
        """The characters of which a blank line consists; in a file of one column, spaces are a value."""
        return "".join(character for character in BLANK if character not in self.separator) if self.columns > 1 else ""


class OpenQuote(NamedTuple):
    """An opening quote that swallows the rows after it."""

    line: int
    closed_in: int | None
    """The later line in which text follows its closing quote; None: it is never closed."""


class _State(Enum):
    START = auto()
    """At the start of a field."""
    SPACE = auto()
    """After a space at the start of a field."""
    PLAIN = auto()
    QUOTED = auto()
    CLOSED = auto()
    """After a quote within a quoted field: its end, or the first of two."""
    CLOSED_SPACE = auto()
    """After spaces behind the end of a quoted field."""


#: The state after a space outside a quoted field; after more than one, DuckDB takes a quote for text.
_AFTER_SPACE = {
    _State.START: _State.SPACE,
    _State.CLOSED: _State.CLOSED_SPACE,
    _State.CLOSED_SPACE: _State.CLOSED_SPACE,
}


class RowCounter:
    """Counts the rows of one text file, which is fed piece by piece. Quotes mean what they mean to DuckDB.

    Args:
        row_format: how the file is written.
    """

    def __init__(self, row_format: RowFormat) -> None:
        self.open_quote: OpenQuote | None = None
        """The first quote that swallows the rows after it."""
        self.line_breaks = 0
        """Line breaks within quotes, which are part of a value."""
        self.first_line_break = 0
        """The line that the first of them ends; 0 without any."""
        self._format = row_format
        encoding = row_format.encoding
        is_plain = encoding == "utf-8" or (encoding == "latin-1" and row_format.separator.isascii())
        self._decoder = None if is_plain else codecs.getincrementaldecoder(encoding)("replace")
        self._separator, self._quote = row_format.separator.encode(), row_format.quote.encode()
        self._blank = row_format.blank.encode()
        if self._quote:
            self._record = _record_pattern(self._separator, self._quote)
            plain = rb"[^ \n%s]+|." % re.escape(self._separator[:1] + self._quote)
            self._tokens = re.compile(b"|".join([re.escape(self._quote), re.escape(self._separator), plain]), re.DOTALL)
        self._records = 0
        self._lines = 0
        self._pieces: list[bytes] = []
        self._kept = 0
        self._is_start = True
        self._ends_in_cr = False
        self._state = _State.START
        self._quote_line = 0

    @property
    def rows(self) -> int:
        """The rows of the pieces so far, without the header; blank lines are no rows."""
        return max(self._records - self._format.has_header, 0)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of the file."""
        self._take(self._decoder.decode(piece).encode("utf-8", "replace") if self._decoder else piece)

    def finish(self) -> None:
        """Take the end of the file."""
        if self._decoder:
            self._take(self._decoder.decode(b"", True).encode("utf-8", "replace"))
        if self._ends_in_cr or self._pieces:
            self._ends_in_cr = False
            self._take(b"\n")
        if self._state is _State.QUOTED and self.open_quote is None:
            self.open_quote = OpenQuote(self._quote_line, None)
        if self._state is not _State.START:
            self._records += 1
            self._state = _State.START

    def _take(self, piece: bytes) -> None:
        """Count the lines that are complete with this piece, and keep the rest."""
        if self._is_start and piece:
            piece, self._is_start = piece.removeprefix(codecs.BOM_UTF8), False
        if self._ends_in_cr:
            piece = b"\r" + piece
        self._ends_in_cr = piece.endswith(b"\r")
        if b"\r" in piece:
            piece = piece.removesuffix(b"\r").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        end = piece.rfind(b"\n") + 1
        if end:
            self._count(b"".join([*self._pieces, piece[:end]]))
            self._pieces, self._kept, piece = [], 0, piece[end:]
        if piece and self._kept < _LONGEST_KEPT:
            self._pieces.append(piece)
            self._kept += len(piece)

    # Whole lines

    def _count(self, lines: bytes) -> None:
        """Count the records of whole lines, which may begin within a quoted field."""
        if not self._quote or (self._state is _State.START and self._quote not in lines):
            self._count_plain(lines)
        elif not self._count_well_quoted(lines):
            self._count_quoted(lines)

    def _count_plain(self, lines: bytes) -> None:
        """Lines without quotes."""
        if len(lines) < _SHORT:
            texts = lines.split(b"\n")[:-1]
            self._lines += len(texts)
            self._records += sum(1 for text in texts if text.strip(self._blank))
            return
        ends = np.flatnonzero(np.frombuffer(lines, np.uint8) == _NEWLINE)
        self._lines += len(ends)
        self._records += self._not_blank(lines, ends)

    def _not_blank(self, lines: bytes, ends: npt.NDArray[np.intp]) -> int:
        """How many of the records with these ends are not blank."""
        if not len(ends):
            return 0
        starts = np.r_[0, ends[:-1] + 1]
        is_empty = starts == ends
        codes = np.frombuffer(lines, np.uint8)
        may_be_blank = np.isin(codes[starts], list(self._blank)) & ~is_empty
        pairs = zip(starts[may_be_blank].tolist(), ends[may_be_blank].tolist(), strict=True)
        blank = sum(1 for start, end in pairs if not lines[start:end].strip(self._blank))
        return len(ends) - int(np.count_nonzero(is_empty)) - blank

    def _count_well_quoted(self, lines: bytes) -> bool:
        """Lines whose quotes all begin and end fields, or come in pairs within them; false for others."""
        is_quoted = self._state is _State.QUOTED
        codes = np.frombuffer(lines, np.uint8)
        quotes = np.flatnonzero(codes == ord(self._quote))
        opening, closing = quotes[int(is_quoted) :: 2], quotes[1 - int(is_quoted) :: 2]
        if not (self._may_open(lines, opening) and self._may_close(lines, closing)):
            return False
        ends = np.flatnonzero(codes == _NEWLINE)
        within = (np.searchsorted(quotes, ends) + is_quoted) % 2 == 1
        self._add_line_breaks(int(within.sum()), self._lines + int(within.argmax()) + 1)
        records = ends[~within]
        if is_quoted and len(records):
            # The record continues from earlier lines: it is not blank, whatever its last line is.
            self._records += 1 + self._not_blank(lines[records[0] + 1 :], records[1:] - records[0] - 1)
        else:
            self._records += self._not_blank(lines, records)
        if within[-1]:
            self._state = _State.QUOTED
            if len(opening):
                self._quote_line = self._lines + int(np.searchsorted(ends, opening[-1])) + 1
        else:
            self._state = _State.START
        self._lines += len(ends)
        return True

    def _add_line_breaks(self, count: int, line: int) -> None:
        """Count line breaks within quotes, of which the first ends this line."""
        if count and not self.line_breaks:
            self.first_line_break = line
        self.line_breaks += count

    def _may_open(self, lines: bytes, opening: npt.NDArray[np.intp]) -> bool:
        """Whether all of these quotes begin a field, or are the second of two within one."""
        codes = np.frombuffer(b"\n" + lines, np.uint8)
        before = codes[opening]
        fits = (before == _NEWLINE) | (before == ord(self._quote))
        size = len(self._separator)
        after_separator = opening >= size
        for place, code in enumerate(self._separator):
            after_separator = after_separator & (codes[np.maximum(opening - size + place + 1, 0)] == code)
        return bool(np.all(fits | after_separator))

    def _may_close(self, lines: bytes, closing: npt.NDArray[np.intp]) -> bool:
        """Whether all of these quotes end a field, or are the first of two within one."""
        codes = np.frombuffer(lines, np.uint8)
        after = codes[closing + 1]
        fits = (after == _NEWLINE) | (after == ord(self._quote))
        before_separator = np.ones(len(closing), bool)
        for place, code in enumerate(self._separator, start=1):
            before_separator &= codes[np.minimum(closing + place, len(codes) - 1)] == code
        return bool(np.all(fits | before_separator))

    # Record by record, where quotes are not as they should be

    def _count_quoted(self, lines: bytes) -> None:
        """Any lines: those without quotes at once, the others field by field."""
        place = 0
        while place < len(lines):
            if self._state is _State.START:
                quote = lines.find(self._quote, place)
                start = len(lines) if quote < 0 else lines.rfind(b"\n", place, quote) + 1
                if start > place:
                    self._count_plain(lines[place:start])
                    place = start
                    continue
                if match := self._record.match(lines, place):
                    breaks = lines.count(b"\n", place, match.end() - 1)
                    self._add_line_breaks(breaks, self._lines + 1)
                    self._records += 1
                    self._lines += breaks + 1
                    place = match.end()
                    continue
            place = self._read_record(lines, place)

    def _read_record(self, lines: bytes, place: int) -> int:
        """Read a record to its end, or to that of the lines; returns the place behind it."""
        while place < len(lines):
            if self._state is _State.QUOTED:
                quote = lines.find(self._quote, place)
                breaks = lines.count(b"\n", place, len(lines) if quote < 0 else quote)
                self._add_line_breaks(breaks, self._lines + 1)
                self._lines += breaks
                if quote < 0:
                    return len(lines)
                place, self._state = quote + 1, _State.CLOSED
                continue
            token = self._tokens.match(lines, place)
            assert token is not None
            place = token.end()
            if token[0] == b"\n":
                self._lines += 1
                self._records += 1
                self._state = _State.START
                return place
            self._state = self._after(token[0])
        return place

    def _after(self, token: bytes) -> _State:
        """The state after a token outside a quoted field."""
        state = self._state
        if token == self._separator:
            return _State.START
        if token == self._quote:
            if state in {_State.START, _State.SPACE}:
                self._quote_line = self._lines + 1
            return state if state is _State.PLAIN else _State.QUOTED
        if token == b" " and state in _AFTER_SPACE:
            return _AFTER_SPACE[state]
        if state in {_State.CLOSED, _State.CLOSED_SPACE} and self._quote_line <= self._lines and not self.open_quote:
            self.open_quote = OpenQuote(self._quote_line, self._lines + 1)
        return _State.PLAIN


def _record_pattern(separator: bytes, quote: bytes) -> re.Pattern[bytes]:
    """A record whose quotes are as they should be, with the end of its line."""
    first, rest, quote = re.escape(separator[:1]), re.escape(separator[1:]), re.escape(quote)
    text = rb"[^\n%s]*+" % first
    text += rb"(?:%s(?!%s)[^\n%s]*+)*+" % (first, rest, first) if rest else b""
    field = rb"(?: ?%s(?:[^%s]++|%s%s)*+%s *|(?! ?%s)%s)" % (quote, quote, quote, quote, quote, quote, text)
    return re.compile(rb"%s(?:%s%s)*+\n" % (field, first + rest, field), re.DOTALL)
