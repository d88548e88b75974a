"""Files and folders that are written atomically, and the files next to them."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import pytest

from mailcli.errors import MailError
from mailcli.utils.files import (
    delete_folder,
    final_name,
    make_folder_atomically,
    remove_partials,
    replace_file,
    restore_folder,
    size_and_time,
    write_atomically,
)
from mailcli.utils.folder_lock import FolderLock

#: What a kill leaves behind of `a.csv`.
PARTIAL = ".partial-0123456789abcdef-a.csv"
#: Similar names of other programs' files.
OTHER_NAMES = [
    "partial-a.csv",
    ".partial-a.csv",
    ".partial-0123456789ABCDEF-a.csv",
    ".partial-0123456789abcdef-",
    "a.csv",
]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old")
    with suppress(KeyboardInterrupt), write_atomically(path) as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert (names(tmp_path), path.read_text()) == (["a.csv"], "old")
    with write_atomically(path) as partial:
        assert final_name(partial.name) == "a.csv"
        partial.write_text("new")
        assert path.read_text() == "old"
    assert (names(tmp_path), path.read_text()) == (["a.csv"], "new")


def test_two_that_write_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with write_atomically(path) as outer:
        outer.write_text("outer")
        with write_atomically(path) as inner:
            inner.write_text("inner")
        assert path.read_text() == "inner"
    assert (names(tmp_path), path.read_text()) == (["a.csv"], "outer")


def test_behind_a_link_the_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "a.html").symlink_to(tmp_path / "disk/page.html")
    for text in ("first", "second"):
        with replace_file(tmp_path / "a.html") as partial:
            partial.write_text(text)
        assert (tmp_path / "a.html").is_symlink()
        assert (tmp_path / "disk/page.html").read_text() == text
    assert names(tmp_path / "disk") == ["page.html"]


def test_errors_name_the_file_and_not_its_temporary_one(tmp_path: Path) -> None:
    (tmp_path / "a.png/b").mkdir(parents=True)
    with pytest.raises(OSError, match="directory") as error, write_atomically(tmp_path / "a.png"):
        pass
    assert error.value.filename == str(tmp_path / "a.png")
    with pytest.raises(OSError, match="not empty") as error, make_folder_atomically(tmp_path / "a.png"):
        pass
    assert error.value.filename == str(tmp_path / "a.png")
    assert names(tmp_path) == ["a.png"]


def test_a_new_file_takes_the_place_of_none(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with write_atomically(path, new=True) as partial:
        partial.write_text("first")
    with pytest.raises(FileExistsError), write_atomically(path, new=True) as partial:
        partial.write_text("second")
    assert (names(tmp_path), path.read_text()) == (["a.csv"], "first")


def test_a_new_file_that_could_not_be_moved_there_leaves_no_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: Path, target: Path) -> None:
        assert names(tmp_path)[-1] == "a.csv"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), write_atomically(tmp_path / "a.csv", new=True) as partial:
        partial.write_text("first")
    assert names(tmp_path) == []


@pytest.mark.skipif(os.name != "posix", reason="POSIX permissions")
def test_what_a_kill_left_of_a_file_goes_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for name in (PARTIAL, *OTHER_NAMES):
        (tmp_path / name).write_text("old")
    with replace_file(path) as partial:
        partial.write_text("new")
        with pytest.raises(MailError) as error, replace_file(path):
            pass
    assert error.value.message == (
        f"{path}: another `mail` process is writing it. Wait for it, or choose another name."
    )
    assert names(tmp_path) == sorted(OTHER_NAMES)
    assert path.read_text() == "new"


def test_files_and_folders_have_the_rights_of_any_new_one(tmp_path: Path) -> None:
    umask = os.umask(0o027)
    try:
        for new in (False, True):
            with write_atomically(tmp_path / f"a{new}", new=new):
                pass
        with make_folder_atomically(tmp_path / "folder"):
            pass
    finally:
        os.umask(umask)
    modes = {path.name: oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()}
    assert modes == {"aFalse": "0o640", "aTrue": "0o640", "folder": "0o750"}


def test_a_folder_is_whole_or_not_there(tmp_path: Path) -> None:
    with make_folder_atomically(tmp_path / "a") as partial:
        (partial / "1").mkdir()
        (partial / "1" / "x").write_text("x")
        assert not (tmp_path / "a").exists()
    assert sorted(path.name for path in (tmp_path / "a").rglob("*")) == ["1", "x"]
    with suppress(KeyboardInterrupt), make_folder_atomically(tmp_path / "b") as partial:
        (partial / "x").write_text("x")
        raise KeyboardInterrupt
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "x").write_text("x")
    with pytest.raises(OSError, match="not empty"), make_folder_atomically(tmp_path / "c"):
        pass
    assert names(tmp_path) == ["a", "c"]


def test_what_a_kill_left_of_a_folder_goes_and_nothing_else(tmp_path: Path) -> None:
    partial_b = ".partial-0123456789abcdef-b"
    for name in (PARTIAL, partial_b, "partial-a.csv", ".partial-a.csv"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text("x")
    with make_folder_atomically(tmp_path / "a.csv"):
        pass
    assert names(tmp_path) == [partial_b, ".partial-a.csv", "a.csv", "partial-a.csv"]


def test_a_folder_may_replace_an_older_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text in ("old", "new"):
        with make_folder_atomically(path, replace=True, sync=False) as partial:
            (partial / text).write_text(text)
            assert names(path) == ["old"] if text == "new" else not path.exists()
        assert (names(tmp_path), names(path)) == (["a"], [text])
    # A kill between the two renames of a replacement.
    path.rename(tmp_path / ".a.old")
    restore_folder(path)
    assert (names(tmp_path), names(path)) == (["a"], ["new"])
    restore_folder(path)
    assert names(tmp_path) == ["a"]
    # A kill after both renames.
    (tmp_path / ".a.old").mkdir()
    (tmp_path / ".a.old" / "old").write_text("old")
    restore_folder(path)
    assert (names(tmp_path), names(path)) == (["a"], ["new"])


def test_what_a_kill_left_is_restored_by_the_next_replacement_even_if_that_fails(tmp_path: Path) -> None:
    path = tmp_path / "a"
    (tmp_path / ".a.old").mkdir()
    (tmp_path / ".a.old" / "old").write_text("old")
    with pytest.raises(KeyError), make_folder_atomically(path, replace=True, sync=False):
        raise KeyError
    assert (names(tmp_path), names(path)) == (["a"], ["old"])


def test_what_kills_left_is_told_from_what_is_somebody_elses(tmp_path: Path) -> None:
    assert final_name(PARTIAL) == "a.csv"
    assert [final_name(name) for name in OTHER_NAMES] == OTHER_NAMES
    for name in (PARTIAL, *OTHER_NAMES):
        (tmp_path / name).write_text("")
    folder = tmp_path / ".partial-fedcba9876543210-b"
    (folder / "x").mkdir(parents=True)
    remove_partials(tmp_path)
    assert names(tmp_path) == sorted(OTHER_NAMES)
    remove_partials(tmp_path / "nowhere")


def test_a_lock_leaves_a_file_alone_that_is_not_its_own(tmp_path: Path) -> None:
    path = tmp_path / ".poetry.lock"
    path.write_text("pinned")
    with pytest.raises(MailError) as error, FolderLock(tmp_path / "poetry", "busy"):
        pass
    assert error.value.message == (
        f"{path}: is not one of mail's lock files (those are empty). Move it away, or choose another name."
    )
    assert path.read_text() == "pinned"
    # A lock file that a kill left behind is empty.
    path.write_text("")
    with (
        FolderLock(tmp_path / "poetry", "busy"),
        pytest.raises(MailError, match="^busy$"),
        FolderLock(tmp_path / "poetry", "busy"),
    ):
        pass
    assert names(tmp_path) == []


def test_a_lock_that_cannot_be_made_is_not_taken_for_one_that_is_held(tmp_path: Path) -> None:
    long = "x" * 250
    with pytest.raises(OSError, match="File name too long"), FolderLock(tmp_path / "a" / "b" / long, "busy"):
        pass
    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("number", "reason"), [(errno.ENOLCK, "No locks available"), (errno.ENOSYS, "Function not implemented")]
)
def test_a_file_system_without_locks_is_named(
    number: int, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise OSError(number, reason)

    monkeypatch.setattr("fcntl.flock", refused)
    with pytest.raises(MailError) as error, FolderLock(tmp_path / "runs" / "run", "busy"):
        pass
    assert error.value.message == (
        f"{tmp_path}/runs/run: its file system cannot lock files ({reason}). Choose a folder on another disk."
    )
    assert names(tmp_path) == []
    # What another machine has left there is held by nobody.
    (tmp_path / ".run.lock").touch()
    assert not FolderLock(tmp_path / "run", "busy").is_held()


def test_links_to_one_folder_share_its_lock(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "first").symlink_to("run")
    (tmp_path / "second").symlink_to(tmp_path / "first")
    with FolderLock(tmp_path / "first", "first"):
        for other in ("run", "first", "second"):
            with pytest.raises(MailError, match=r"^busy$"), FolderLock(tmp_path / other, "busy"):
                pass
    assert names(tmp_path) == ["first", "run", "second"]


def test_whether_a_lock_is_held(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path / "run", "busy")
    assert not lock.is_held()
    assert names(tmp_path) == []
    with FolderLock(tmp_path / "run", "busy"):
        assert lock.is_held()
        assert names(tmp_path) == [".run.lock"]
    assert not lock.is_held()
    # What a kill left behind, and somebody else's file.
    (tmp_path / ".run.lock").touch()
    assert not lock.is_held()
    (tmp_path / ".run.lock").write_text("pinned")
    assert not lock.is_held()
    assert (tmp_path / ".run.lock").read_text() == "pinned"


def test_a_lock_left_in_the_folder_of_another_user_is_not_held(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock = FolderLock(tmp_path / "run", "busy")
    lock.path.touch()

    def refused(path: Path, missing_ok: bool) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", refused)
        assert not lock.is_held()
    with lock:
        pass
    assert names(tmp_path) == []


def test_a_folder_is_deleted_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)

    def killed(path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("mailcli.utils.files.shutil.rmtree", killed)
        with pytest.raises(KeyboardInterrupt):
            delete_folder(folder)
    (left,) = names(tmp_path)
    assert final_name(left) == "run"
    assert left != "run"
    folder.mkdir()
    delete_folder(folder)
    assert names(tmp_path) == []


def test_the_size_of_a_folder_and_when_it_was_written(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    for name, size, written in (("a", 3, 1e9), ("checkpoints/b", 40, 4e9)):
        (tmp_path / name).write_bytes(b"x" * size)
        os.utime(tmp_path / name, (written, written))
    assert size_and_time(tmp_path) == (43, 4e9)
