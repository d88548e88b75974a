"""config.toml holds the defaults of options that are not set: a run stays what it was after a default has changed."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from mailcli import plugins
from mailcli.config import make_config, to_toml
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.models.contracts import options_of
from mailcli.runs.opening import open_run
from mailcli.runs.registry import find_run
from mailcli.settings.option_defaults import default_tables, option_defaults, set_changed_defaults, spell_alike
from tests.helpers.runs import SETTINGS, make_older

BUILT_IN = [(kind, name) for kind in (plugins.RANKERS, plugins.COLD_STARTS) for name in plugins.names(kind)]
CONFIG = make_config([SETTINGS, {"epochs": 1, "cold_start": "dropout"}])


@pytest.mark.parametrize(("kind", "name"), BUILT_IN)
def test_the_code_read_and_the_code_imported_have_the_same_defaults(kind: plugins.PluginKind, name: str) -> None:
    assert option_defaults(kind, name) == options_of(plugins.load(kind, name))


def test_defaults_by_hand() -> None:
    config = make_config([{"data": "d", "ranker": "dmr", "ranker.units": "8", "cold_start": "conse"}])
    assert default_tables(config) == {
        "ranker_defaults": {"dropout": "0.5", "match_weight": "0.1"},
        "cold_start_defaults": {"neighbors": "10", "references": "4096", "temperature": "0.1"},
    }
    assert default_tables(make_config([{"data": "d", "ranker": "emblr"}])) == {}
    assert default_tables(make_config([{"data": "d", "ranker": "some.module:Class"}])) == {}


@pytest.mark.parametrize(
    ("stored", "read"),
    [
        ({}, {}),
        ({"ranker_defaults": {"dropout": "0.5"}}, {}),
        ({"ranker_defaults": {"dropout": "0.4"}}, {"ranker_options": {"dropout": "0.4"}}),
        (
            {"ranker_options": {"units": "8"}, "ranker_defaults": {"dropout": "0.4", "gone": "1"}},
            {"ranker_options": {"units": "8", "dropout": "0.4", "gone": "1"}},
        ),
        ({"ranker": "dmr", "ranker_defaults": {"match_weight": "0.1", "dropout": "0.5"}}, {"ranker": "dmr"}),
        ({"ranker_options": {"product": "true"}}, {"ranker_options": {"product": "True"}}),
        ({"ranker": "none", "ranker_defaults": 5}, {"ranker": "none", "ranker_defaults": 5}),
    ],
)
def test_a_changed_default_counts_as_set(stored: dict[str, Any], read: dict[str, Any]) -> None:
    assert set_changed_defaults(stored) == read


@pytest.fixture(scope="module")
def finished(tiny: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A runs folder with a finished run that must not be changed."""
    runs = tmp_path_factory.mktemp("finished")
    train_if_missing(CONFIG, tiny, runs)
    return runs


class TestAfterADefaultHasChanged:
    @pytest.fixture
    def runs(self, finished: Path, tmp_path: Path) -> Path:
        """The run as if it had been made when the rate was 0.3."""
        runs = Path(shutil.copytree(finished, tmp_path / "runs"))
        make_older(runs)
        path = runs / CONFIG.run_path / "config.toml"
        text = path.read_text(encoding="utf-8")
        assert tomllib.loads(text)["cold_start_defaults"] == {"rate": "0.5"}
        assert tomllib.loads(text)["ranker_defaults"] == {"dropout": "0.5", "product": "False"}
        path.write_text(text.replace('rate = "0.5"', 'rate = "0.3"'), encoding="utf-8")
        return runs

    def test_the_run_is_not_reused_as_if_nothing_had_changed(self, runs: Path, tiny: Dataset) -> None:
        with pytest.raises(MailError) as error:
            find_run(runs, CONFIG, tiny)
        assert error.value.message == (
            f"{runs / CONFIG.run_path}: holds a run with other settings (cold_start_options: {{'rate': '0.3'}} -> {{}}). "
            "Add --overwrite to train it anew, or choose another --runs folder."
        )

    def test_the_run_is_reused_with_its_own_value(self, runs: Path, tiny: Dataset) -> None:
        config = make_config([vars(CONFIG), {"cold_start.rate": "0.3"}])
        assert find_run(runs, config, tiny).result

    def test_a_run_with_the_default_set_is_reused(self, finished: Path, tiny: Dataset) -> None:
        config = make_config([vars(CONFIG), {"cold_start.rate": "0.50"}])
        assert find_run(finished, config, tiny).result

    def test_the_run_is_read_with_its_own_value(self, runs: Path) -> None:
        assert open_run(runs / CONFIG.run_path).config.cold_start_options == {"rate": "0.3"}


def test_a_run_of_a_version_without_defaults_is_reused(finished: Path, tiny: Dataset, tmp_path: Path) -> None:
    runs = Path(shutil.copytree(finished, tmp_path / "runs"))
    make_older(runs)
    path = runs / CONFIG.run_path / "config.toml"
    text, _, _ = path.read_text(encoding="utf-8").partition("[ranker_defaults]")
    path.write_text(text, encoding="utf-8")
    assert find_run(runs, CONFIG, tiny).result == open_run(path.parent).result
    assert open_run(path.parent).config == open_run(finished / CONFIG.run_path).config == CONFIG


@pytest.mark.parametrize("options", [{"dropout": 0.5}, {"dropout": "0.50"}, {"units": "512,256", "dropout": ".5"}])
def test_a_default_that_is_set_is_no_other_setting(options: dict[str, Any]) -> None:
    """BaseDNN has a dropout of 0.5 and layers of 512 and 256 units (MAIL Sec. 4.1.4)."""
    config = to_toml(make_config([{"data": "tiny", "ranker": "base", "ranker_options": options}]))
    assert spell_alike(config) == spell_alike(to_toml(make_config([{"data": "tiny", "ranker": "base"}])))


def test_a_float_has_one_spelling() -> None:
    def alike(dropout: str) -> dict[str, Any]:
        return spell_alike({"ranker": "base", "ranker_options": {"dropout": dropout}})["ranker_options"]

    assert alike("0") == alike("0.0") == alike("0.00") == {"dropout": "0.0"}
    assert alike("0.2") != alike("0.3")
    assert alike("many") == {"dropout": "many"}
