"""Hostile raw files: each case ends with the right dataset or with an error of one line."""

from __future__ import annotations

import csv
import gzip
import io
import os
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from mailcli.preprocessing.sources.alimama import COLUMNS
from tests.helpers import alimama, grouplens
from tests.helpers.hostile import CORRUPT, KINDS, Damage, columns, contents, error_of, put, replace


def zipped(data: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("../../escaped.csv", data)
    return packed.getvalue()


def header(change: Callable[[bytes], bytes]) -> Damage:
    return lambda data: change(data.split(b"\n", 1)[0]) + b"\n" + data.split(b"\n", 1)[1]


#: The default suite damages only the log: all files are read in the same way.
STEMS = [pytest.param(stem, marks=[] if stem == "behavior_log" else pytest.mark.slow) for stem in alimama.HEADERS]
#: Faults that are reported before any row is read, for each of the files.
AT_ONCE: dict[str, tuple[Damage, str]] = {
    "empty": (lambda data: b"", "the file is empty. Expected a header line and rows."),
    "blank lines": (lambda data: b"\n\n\n", "the file is empty"),
    "only a header": (
        lambda data: data.split(b"\n")[0] + b"\n",
        "there is no row below the header. Expected rows: get the file again.",
    ),
    "only a header, no line end": (
        lambda data: data.split(b"\n")[0],
        "there is no row below the header. Expected rows: get the file again.",
    ),
    "no header": (lambda data: data.split(b"\n", 1)[1], "no column '"),
    "no first column": (header(lambda line: line.split(b",", 1)[1]), "no column '"),
    "a name twice": (header(lambda line: line + b"," + line.split(b",")[0]), "more than one column '"),
    "names in capitals": (header(bytes.upper), "no column '"),
    "names in fullwidth letters": (header(lambda line: "ｕｓｅｒ".encode() + line), "no column '"),
    "utf-16": (lambda data: data.decode().encode("utf-16"), "cannot be read ('utf-8' codec can't decode"),
    "utf-16 without a mark": (lambda data: data.decode().encode("utf-16-le"), "no column '"),
    "utf-32": (lambda data: data.decode().encode("utf-32"), "cannot be read ('utf-8' codec can't decode"),
    "latin-1 header": (header(lambda line: line + b",\xe9"), "cannot be read ('utf-8' codec can't decode"),
    "tabs": (lambda data: data.replace(b",", b"\t"), "no column '"),
    "semicolons below the header": (
        lambda data: data.split(b"\n")[0] + b"\n1;2;3\n",
        "line 2: '1;2;3' has 1 field. Expected ",
    ),
    "only carriage returns": (lambda data: data.replace(b"\n", b"\r"), "cannot be read (new-line character"),
    "a NUL in the header": (header(lambda line: b"\0" + line), "no column '"),
    "only NULs": (lambda data: bytes(5000), "no column '"),
    "a header of 100 kB": (lambda data: b"x" * 100_000 + b"\n1\n", "no column '"),
    "a quote that does not end": (header(lambda line: b'"' + line), "no column '"),
    "gz: text": (lambda data: data, "cannot be read (Not a gzipped file"),
    "gz: zip": (zipped, "cannot be read (Not a gzipped file"),
    "gz: of gz": (lambda data: gzip.compress(gzip.compress(data)), "cannot be read ('utf-8' codec can't decode"),
    "gz: empty file": (lambda data: b"", "the file is empty"),
    "gz: of nothing": (lambda data: gzip.compress(b""), "the file is empty"),
    "gz: ten bytes": (lambda data: gzip.compress(data)[:10], "cannot be read (Compressed file ended before"),
    "gz: unknown method": (lambda data: b"\x1f\x8b\x07" + gzip.compress(data)[3:], "Unknown compression method"),
}


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four files, with enough rows to damage some."""
    folder = tmp_path_factory.mktemp("hostile") / "raw"
    rows = alimama.good_rows()
    rows["behavior_log"] += [f"1,{alimama.START - 30 + step},pv,{500 + step},{600 + step}" for step in range(20)]
    alimama.write_rows(folder, rows)
    return folder


@pytest.fixture
def home(raw: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with a copy of the raw files."""
    (tmp_path / "raw").mkdir()
    for path in raw.iterdir():
        (tmp_path / "raw" / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def spoil(folder: Path, stem: str, name: str, damage: Damage) -> Path:
    path = folder / f"{stem}.csv"
    data = damage(path.read_bytes())
    if name.startswith("gz"):
        path.unlink()
        path = path.with_suffix(".csv.gz")
    put(path, data)
    return path


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("name", AT_ONCE)
def test_a_file_that_is_none_is_rejected_at_once(home: Path, name: str, stem: str) -> None:
    damage, message = AT_ONCE[name]
    path = spoil(home / "raw", stem, name, damage)
    before = contents(home)
    error = error_of("preprocess", "alimama", "--raw", "raw")
    assert error
    assert error.startswith(f"{path.relative_to(home)}")
    assert message in error
    assert contents(home) == before


@pytest.mark.parametrize("stem", alimama.HEADERS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_file_at_all(home: Path, kind: str, stem: str) -> None:
    replace(home / "raw" / f"{stem}.csv", kind)
    error = error_of("preprocess", "alimama", "--raw", "raw")
    assert error
    assert error.startswith(f"raw: {stem}.csv not found. Looked for raw_sample.csv, ")
    assert not (home / "data").exists()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
@pytest.mark.parametrize("stem", alimama.HEADERS)
def test_a_file_that_may_not_be_read(home: Path, stem: str) -> None:
    (home / "raw" / f"{stem}.csv").chmod(0)
    assert "cannot be read ([Errno 13] Permission denied" in str(error_of("preprocess", "alimama", "--raw", "raw"))


# Bad rows: they are preprocessed all at once, and each test looks up its own.

WRONG_WHOLE = {
    "text": "x",
    "float": "1.5",
    "scientific": "1e3",
    "space": " 1",
    "tab": "1\t",
    "zero in front": "007",
    "plus": "+1",
    "beyond 64 bits": "9223372036854775808",
    "400 digits": "9" * 400,
    "hexadecimal": "0x1f",
    "arabic digits": "\u0661\u0662",
    "superscript": "\u00b2",
    "nan": "nan",
    "infinity": "-inf",
    "underscore": "1_000",
    "quoted": '"1"',
    "NUL": "1\0",
    "minus zero": "-0",
}
WRONG_NUMBER = {
    **{name: WRONG_WHOLE[name] for name in ("text", "space", "hexadecimal", "arabic digits", "nan", "infinity", "NUL")},
    "beyond double": "1e999",
    "two points": "1.2.3",
    "decimal comma": '"1',
    "nothing": "",
}
WRONG_TEXT = {
    "btag": {"another": "look", "capitals": "PV", "space": "pv ", "nothing": "", "formula": "=1+1", "NUL": "pv\0"},
    "pid": {"nothing": ""},
}


def wrong_values() -> dict[str, tuple[str, str, str]]:
    """File, column and value of each case, by its name."""
    cases: dict[str, tuple[str, str, str]] = {}
    for stem, file_columns in COLUMNS.items():
        for column in file_columns:
            wrong = WRONG_TEXT.get(column.name) or (WRONG_NUMBER if column.type == "double" else WRONG_WHOLE)
            cases |= {f"{stem}.{column.name}: {name}": (stem, column.name, value) for name, value in wrong.items()}
    return cases


VALUES = wrong_values()


def spoilt_line(number: int, stem: str, column: str, value: str) -> str:
    """A good line with one wrong value; where possible its number makes it differ from all other lines."""
    line = {
        "raw_sample": f"{number},1494000050,10,p,1,0",
        "ad_feature": f"{1000 + number},1,1,1,1,1.0",
        "user_profile": f"{1000 + number},0,1,1,1,,1,0,",
        "behavior_log": f"1,1493999990,pv,{number},1",
    }[stem]
    cells = line.split(",")
    cells[alimama.HEADERS[stem].replace(" ", "").split(",").index(column)] = value
    return ",".join(cells)


@pytest.fixture(scope="module")
def rejected(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The reason for each bad row of VALUES, after preprocessing them all, which changes no column of the dataset."""
    home = tmp_path_factory.mktemp("rows")
    for path in raw.iterdir():
        lines = [spoilt_line(n, *case) for n, case in enumerate(VALUES.values()) if case[0] == path.stem]
        (home / path.name).write_bytes(path.read_bytes() + "".join(f"{line}\n" for line in lines).encode())
    for name, folder, share in (("good", raw, "0"), ("spoilt", home, "99.9%")):
        options = ("--raw", folder, "--data-dir", home, "--name", name, "--max-bad-rows", share)
        assert error_of("preprocess", "alimama", *options) is None
    assert columns(home / "spoilt") == columns(home / "good")
    reasons: dict[str, str] = {}
    for path in (home / "spoilt" / "rejected").iterdir():
        with open(path, newline="", encoding="utf-8") as file:
            reasons |= {f"{path.stem}|{row['row']}": row["reason"] for row in csv.DictReader(file)}
    assert len(reasons) == len({spoilt_line(n, *case) for n, case in enumerate(VALUES.values())})
    return reasons


@pytest.mark.parametrize("name", VALUES)
def test_a_wrong_value_spoils_only_its_row(rejected: dict[str, str], name: str) -> None:
    stem, column, value = VALUES[name]
    line = spoilt_line(list(VALUES).index(name), stem, column, value)
    # As a spreadsheet and a terminal may read it: no formula, no control character.
    shown = ("'" if line[0] in "+-=@" else "") + line.replace("\0", "\\x00")
    reason = rejected[f"{stem}|{shown}"]
    assert reason.startswith(f"column '{column}' holds {value[:100]!r}. Expected "), reason


# Files whose faults only reading them shows.

SAME: dict[str, Damage] = {
    "CRLF": lambda data: data.replace(b"\n", b"\r\n"),
    "BOM": lambda data: b"\xef\xbb\xbf" + data,
    "no last line end": lambda data: data.rstrip(b"\n"),
    "gz: two members": lambda data: gzip.compress(data[:150]) + gzip.compress(data[150:]),
}
REFUSED: dict[str, tuple[Damage, str]] = {
    "mixed line ends": (lambda data: data.replace(b"\n", b"\r\n", 3), "has mixed line endings"),
    "gz: zeros behind": (
        lambda data: gzip.compress(data) + bytes(512),
        "is followed by bytes that are not gzip|cut off",
    ),
    "gz: garbage behind": (
        lambda data: gzip.compress(data) + b"garbage",
        "is cut off or damaged|no gzip|cannot be read",
    ),
    "gz: wrong CRC": (lambda data: gzip.compress(data)[:-8] + bytes(8), "is cut off or damaged|no gzip|cannot be read"),
    "gz: wrong length": (
        lambda data: gzip.compress(data)[:-4] + bytes(4),
        "is cut off or damaged|no gzip|cannot be read",
    ),
    "gz: cut off": (lambda data: gzip.compress(data)[:-9], "cut off|ended before|no gzip"),
    "cut in the last row": (lambda data: data[:-9], "has 3 fields. Expected 5: user,time_stamp,btag,cate,brand"),
    "a row of NULs": (lambda data: data + bytes(50) + b"\n", "has 1 field. Expected 5"),
    "a row in latin-1": (
        lambda data: data + b"1,1493999990,pv,\xe9,1\n",
        "is not UTF-8 text|holds '|the row '1,1493999990,pv,",
    ),
    "a line of 3 MB": (lambda data: data + b"9" * 3_000_000 + b"\n", "has 1 field. Expected 5"),
}


@pytest.fixture(scope="module")
def good_columns(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The columns of the dataset of the files as they are."""
    data = tmp_path_factory.mktemp("good")
    assert error_of("preprocess", "alimama", "--raw", raw, "--data-dir", data) is None
    return columns(data / "alimama")


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("name", SAME)
def test_odd_files_give_the_same_table(home: Path, good_columns: dict[str, str], name: str, stem: str) -> None:
    spoil(home / "raw", stem, name, SAME[name])
    assert error_of("preprocess", "alimama", "--raw", "raw") is None
    assert columns(home / "data" / "alimama") == good_columns
    assert not (home / "data" / "alimama" / "rejected").exists()


#: Left to the slow suite: gzip files whose end is as wrong as that of others.
SLOW_REFUSED = {"gz: garbage behind", "gz: wrong length"}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW_REFUSED else []) for name in REFUSED]
)
def test_a_log_that_is_damaged_further_down(home: Path, name: str) -> None:
    damage, message = REFUSED[name]
    path = spoil(home / "raw", "behavior_log", name, damage)
    error = error_of("preprocess", "alimama", "--raw", "raw")
    assert error
    assert error.startswith(str(path.relative_to(home)))
    assert re.search(message, error)
    assert not (home / "data").exists()


def test_a_file_that_vanishes(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def vanish(*_: object) -> None:
        (home / "raw" / "raw_sample.csv").unlink()

    monkeypatch.setattr("mailcli.preprocessing.extract.Extraction._check_log", vanish)
    assert "raw_sample.csv" in str(error_of("preprocess", "alimama", "--raw", "raw"))
    assert not (home / "data").exists()


@pytest.mark.parametrize("path", sorted(CORRUPT.glob("marker-*")), ids=lambda path: path.stem)
def test_a_note_that_is_none(home: Path, path: Path) -> None:
    (home / "raw" / "SIMULATED.json").write_bytes(path.read_bytes())
    error = error_of("preprocess", "alimama", "--raw", "raw")
    assert re.match(r"raw/SIMULATED.json: (cannot be read|was not written for)", str(error))


# MovieLens


ML_FILES = ["u.data", "u.user", "u.item"]
ML_REFUSED: dict[str, tuple[Damage, str]] = {
    "empty": (lambda data: b"", "the file is empty"),
    "commas": (lambda data: data.replace(b"\t", b",").replace(b"|", b","), "line 1: 1 field."),
    "a column less": (lambda data: re.sub(rb"[\t|][^\t|\n]*\n", b"\n", data), "line 1: "),
    "a column more": (lambda data: data.replace(b"\n", b"|\t1\n"), "line 1: "),
    "a blank line": (lambda data: data + b"\n", ": 1 field."),
    "cut in the first row": (lambda data: data[:3], "line 1: "),
    "NULs": (lambda data: bytes(100), "line 1: 1 field."),
    "utf-16": (lambda data: data.decode("latin-1").encode("utf-16"), "line 1: "),
    "BOM": (lambda data: b"\xef\xbb\xbf" + data, "line 1: column '"),
    "id as a float": (lambda data: b"1.0" + data[1:], "line 1: column '"),
    "negative id": (lambda data: b"-" + data, "line 1: column '"),
    "id of 30 digits": (lambda data: b"9" * 30 + data, "line 1: column '"),
    "space before an id": (lambda data: b" " + data, "line 1: column '"),
    "scientific id": (lambda data: b"1e3" + data[1:], "line 1: column '"),
    "gzipped": (lambda data: gzip.compress(data), "line 1: "),
    "quoted": (lambda data: b'"' + data, "line 1: column '"),
}


@pytest.mark.parametrize("file", ML_FILES)
@pytest.mark.parametrize("name", ML_REFUSED)
def test_grouplens_files_that_are_none(tmp_path: Path, name: str, file: str) -> None:
    grouplens.write(tmp_path / "ml")
    path = tmp_path / "ml" / file
    damage, message = ML_REFUSED[name]
    put(path, damage(path.read_bytes()))
    error = error_of("preprocess", "ml-100k", "--raw", tmp_path / "ml", "--data-dir", tmp_path / "data")
    assert error
    assert error.startswith(str(path))
    assert message in error
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("file", ML_FILES)
@pytest.mark.parametrize("kind", KINDS)
def test_no_grouplens_file_at_all(tmp_path: Path, kind: str, file: str) -> None:
    grouplens.write(tmp_path / "ml")
    replace(tmp_path / "ml" / file, kind)
    error = error_of("preprocess", "ml-100k", "--raw", tmp_path / "ml", "--data-dir", tmp_path / "data")
    assert re.search(rf"{file}( not found\.|: cannot be read \(|: is not a file\.)", str(error))
    assert not (tmp_path / "data").exists()


def test_grouplens_faults_name_their_file(tmp_path: Path) -> None:
    grouplens.write(tmp_path / "ml")
    path = tmp_path / "ml" / "u.user"
    path.write_text(path.read_text() * 2)
    error = error_of("preprocess", "ml-100k", "--raw", tmp_path / "ml", "--data-dir", tmp_path / "data")
    assert error == f"{path}: user 1 has more than one row. Expected one."


def test_an_ellipsis_of_cp1252_in_a_title_is_no_line_end(tmp_path: Path) -> None:
    for name, letter in (("one", b"\xe9"), ("two", b"\x85")):
        grouplens.write(tmp_path / name)
        path = tmp_path / name / "u.item"
        path.write_bytes(path.read_bytes().replace(b"\xe9", letter))
        assert (
            error_of("preprocess", "ml-100k", "--raw", tmp_path / name, "--data-dir", tmp_path, "--name", f"s{name}")
            is None
        )
    assert columns(tmp_path / "sone") == columns(tmp_path / "stwo")
