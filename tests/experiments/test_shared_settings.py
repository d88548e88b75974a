"""Settings that the rows of a table share: which row takes which option."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mailcli.cli._resolve import resolve, resolve_rows
from mailcli.config import RunConfig, make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.shared_settings import share
from mailcli.runs.registry import find_run
from tests.helpers.command_line import error_line, mail

BASE, DMR = {"ranker": "base", "cold_start": "none"}, {"ranker": "dmr", "cold_start": "none"}
MAIL = {"ranker": "base", "cold_start": "mail", "variant": "base"}
TRIVIAL = {"ranker": "item-rate", "cold_start": "none"}
OWN = {"ranker": "package.module:Ranker", "cold_start": "none"}


def test_a_row_takes_the_options_that_it_has() -> None:
    settings = {"epochs": 3, "ranker.match_weight": 1, "cold_start_options": {"sigma": 2}}
    assert share(settings, [TRIVIAL, BASE, DMR, MAIL]) == [
        {"epochs": 3},
        {"epochs": 3},
        {"epochs": 3, "ranker.match_weight": 1},
        {"epochs": 3, "cold_start.sigma": 2},
    ]


def test_a_class_of_ones_own_may_have_any_option() -> None:
    assert share({"ranker.depth": 2}, [BASE, OWN]) == [{}, {"ranker.depth": 2}]


def test_options_of_a_ranker_or_method_that_is_named_belong_to_it() -> None:
    run = {
        "ranker": "base",
        "cold_start": "mail",
        "ranker_options": {"units": "8,4"},
        "cold_start_options": {"variant": "dual", "sigma": "2"},
    }
    names = {"ranker": "base", "cold_start": "mail"}
    assert share(run, [BASE, DMR, MAIL, {}]) == [
        {**names, "ranker.units": "8,4"},
        names,
        {**names, "ranker.units": "8,4", "cold_start.sigma": "2"},
        {**names, "ranker.units": "8,4", "cold_start.variant": "dual", "cold_start.sigma": "2"},
    ]


#: The options of a run's tower besides its variant.
TOWER = {"steps": "typical", "encoder_units": "8,8,8", "decoder_units": "8,8"}


def options_of(file: Path | None = None, *settings: str, **given: Any) -> dict[str, Any]:
    return {"settings": settings, "file": file, **given}


def of_run(data: Path) -> Path:
    """The config.toml of a MAIL run that has begun, whose options are not the defaults."""
    sizes = {"data": "tiny", "embedding_dim": 4, "ranker.units": "8", "history": 5}
    tower = {f"cold_start.{key}": value for key, value in TOWER.items()}
    config = make_config([sizes, {"cold_start": "mail", "cold_start.variant": "dual", **tower}])
    run = find_run(data / "runs", config, Dataset(data / "data/tiny"))
    with run.lock():
        run.begin()
    return data / "runs/tiny/paper/base+mail-dual/seed-0/config.toml"


def test_the_config_of_a_run_is_taken_for_other_rows(with_data: Path) -> None:
    file = of_run(with_data)
    data = with_data / "data"
    assert resolve(data, None, **options_of(file))[0].cell == "base+mail-dual"
    other, _ = resolve(data, "single", **options_of(file))
    assert other.cold_start_options == {**TOWER, "variant": "single"}
    plain, _ = resolve(data, None, **options_of(file, cold_start="none"))
    assert (plain.cold_start_options, plain.ranker_options) == ({}, {"units": "8"})
    din, _ = resolve(data, None, **options_of(file, "cold_start=none", ranker="din"))
    assert (din.ranker_options, din.embedding_dim, din.history) == ({}, 4, 5)
    rows = [{**row, "variant": row.get("variant")} for row in (TRIVIAL, BASE, DMR, MAIL)]
    configs, _ = resolve_rows(rows, 1, data, options_of(file))
    assert [config.cell for config in configs] == ["item-rate+none", "base+none", "dmr+none", "base+mail-base"]
    assert [config.ranker_options for config in configs] == [{}, {"units": "8"}, {}, {"units": "8"}]
    assert configs[3].cold_start_options == {**TOWER, "variant": "base"}


def test_set_reaches_the_rows_that_have_the_option(with_data: Path) -> None:
    rows = [{**row, "variant": row.get("variant")} for row in (TRIVIAL, BASE, MAIL)]
    settings = options_of(None, "optimizer=adam", "cold_start.bandwidth=fixed")
    configs, _ = resolve_rows(rows, 1, with_data / "data", settings)
    assert configs == [
        RunConfig("tiny", "item-rate", history=20, optimizer="adam"),
        RunConfig("tiny", history=20, optimizer="adam"),
        RunConfig(
            "tiny",
            cold_start="mail",
            history=20,
            optimizer="adam",
            cold_start_options={"bandwidth": "fixed", "variant": "base"},
        ),
    ]


@pytest.mark.parametrize(
    ("rows", "setting", "expected"),
    [
        (
            "BaseDNN,DMR",
            "ranker.match_wieght=1",
            "--set ranker.match_wieght: no row has this option. Did you mean 'ranker.match_weight'?",
        ),
        ("item-rate", "ranker.units=8", "--set ranker.units: no row has this option."),
        (
            "MAIL-Base,MAIL-DMR",
            "cold_start.sigmas=8",
            "--set cold_start.sigmas: cold-start method 'mail' has no option 'sigmas'. Did you mean 'sigma'? Known: "
            "'variant', 'reduction', 'attention_units', 'encoder_units', 'decoder_units', 'dropout', 'bandwidth', "
            "'sigma', 'steps', 'padding', 'click_gradient', 'update_every'.",
        ),
    ],
)
def test_an_option_that_no_row_has_is_refused(with_data: Path, rows: str, setting: str, expected: str) -> None:
    del with_data
    assert error_line(mail("compare", "--rows", rows, "--set", setting)) == expected


def test_an_option_of_a_file_that_no_row_has_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('"ranker.unit" = 8\n')
    with pytest.raises(MailError) as error:
        resolve(tmp_path, None, **options_of(file))
    expected = f"{file}: ranker.unit: ranker 'base' has no option 'unit'. Did you mean 'units'? Known: 'units', 'dropout', 'product'."
    assert error.value.message == expected
