"""The settings of a cell's run with their defaults filled in, and the folders of runs."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from mailcli.config import RunConfig, make_config
from mailcli.errors import MailError
from mailcli.experiments.cells import RunLayout, resolve_config


def test_defaults_are_filled_in() -> None:
    config = resolve_config([{"ranker": "dmr"}], "toy", 20)
    assert config == make_config([{"data": "toy", "ranker": "dmr", "history": 20}])
    # A dataset with longer histories than the default is read with the default, and a setting overrides both.
    assert resolve_config([], "toy", 500).history == RunConfig.history
    assert resolve_config([{"history": 50}, {"history": 30}], "toy", 20).history == 30
    # The dataset in use replaces the name in the settings; without one, that name stays.
    assert resolve_config([{"data": "other"}], "toy").data == "toy"
    assert resolve_config([{"data": "other"}]).data == "other"
    assert resolve_config([]).data == ""


def test_the_variant_of_mail_is_written_out() -> None:
    mail = {"cold_start": "mail"}
    base = resolve_config([mail], "toy")
    assert base.cell == "base+mail-base"
    assert resolve_config([mail], "toy", variant="base") == base
    assert resolve_config([mail, {"cold_start.variant": "base"}], "toy", variant="base") == base
    assert resolve_config([mail], "toy", variant="dual").cell == "base+mail-dual"
    assert resolve_config([mail, {"cold_start.variant": "single"}], "toy").cell == "base+mail-single"


@pytest.mark.parametrize(
    ("settings", "variant", "error"),
    [
        ({"ranker": "dmrr"}, None, "unknown ranker 'dmrr'. Did you mean 'dmr'?"),
        ({"cold_start": "mial"}, None, "unknown cold-start method 'mial'. Did you mean 'mail'?"),
        ({"cold_start": "cvae"}, "base", "--variant requires --cold-start mail; the method is 'cvae'."),
        ({"cold_start": "mail"}, "dul", "unknown variant 'dul'. Did you mean 'dual'?"),
        ({"cold_start": "mail", "cold_start.variant": ""}, None, "unknown variant ''."),
        (
            {"cold_start": "mail", "cold_start.variant": "base"},
            "dual",
            "--variant dual contradicts cold_start.variant = 'base'. Set only one of them.",
        ),
    ],
)
def test_unknown_names_and_contradictions_are_refused(
    settings: dict[str, Any], variant: str | None, error: str
) -> None:
    with pytest.raises(MailError) as refused:
        resolve_config([settings], "toy", variant=variant)
    assert refused.value.message.startswith(error)


def test_rows_with_own_settings_have_their_own_folder() -> None:
    shared = make_config([{"data": "d"}])
    folders = RunLayout(Path("runs"), shared)
    own = make_config([{"data": "d", "cold_start": "mail", "cold_start.sigma": 2, "cold_start.variant": "base"}])
    assert folders.folder_for(own) == Path("runs/cold_start.sigma=2")
    assert folders.folder_for(own.baseline()) == Path("runs")
    assert folders.folder_for(make_config([{"data": "d", "epochs": 3, "seed": 4}])) == Path("runs/epochs=3")
    assert RunLayout(Path("runs")).folder_for(own) == Path("runs")
    # Only MAIL's variant is in the name of its cell.
    another = make_config([{"data": "d", "cold_start": "own:Method", "cold_start.variant": "b", "ranker.variant": "a"}])
    assert folders.folder_for(another) == Path("runs/ranker.variant=a,cold_start.variant=b")


@pytest.mark.parametrize("value", ["../../elsewhere/b.npy", "vectors/a.npy", "..\\\\a.npy"])
def test_an_option_that_is_a_path_leads_nowhere(value: str) -> None:
    folders = RunLayout(Path("runs"), make_config([{"data": "d"}]))
    folder = folders.folder_for(make_config([{"data": "d", "ranker.x": value}]))
    digest = hashlib.sha256(f"ranker.x={value}".encode()).hexdigest()[:16]
    assert folder.parent == Path("runs")
    assert folder.name == f"ranker.x={value.replace('/', '_').replace(chr(92), '_')}-{digest}"


def test_a_folder_with_too_long_a_name_is_named_by_a_hash(tmp_path: Path) -> None:
    """`cold_start.x=` has 13 bytes: with 242 letters its name is the longest that a file system holds."""
    folders = RunLayout(tmp_path, make_config([{"data": "d"}]))

    def name(value: str) -> str:
        folder = folders.folder_for(make_config([{"data": "d", "cold_start": "mail", "cold_start.x": value}]))
        folder.mkdir()
        return folder.name

    assert name("a" * 242) == "cold_start.x=" + "a" * 242
    # 255 - 17 = 238 bytes are left for its beginning.
    digest = hashlib.sha256(b"cold_start.x=" + b"a" * 243).hexdigest()[:16]
    assert name("a" * 243) == "cold_start.x=" + "a" * 225 + f"-{digest}"
    # A letter of two bytes that would be cut in two is left out.
    digest = hashlib.sha256(("cold_start.x=" + "a" * 224 + "é" * 20).encode()).hexdigest()[:16]
    assert name("a" * 224 + "é" * 20) == "cold_start.x=" + "a" * 224 + f"-{digest}"
