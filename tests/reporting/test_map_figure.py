"""The map: a heat map for each row of the table and combination of other settings than its axes."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from mailcli.errors import MailError
from mailcli.reporting.plots import map as plot
from mailcli.reporting.plots.map import Plot, map_caption, map_figure
from mailcli.reporting.worlds import WorldRows
from mailcli.runs.folder import RunFolder
from tests.helpers.results import BASE, MAIL
from tests.helpers.worlds import SETTINGS, mail_row, world

#: RI 10, 12 and 14%, significant; and -2, 0 and 2% where real behavior is worth .04.
HELPS = mail_row([0.5, 0.5, 0.5], [0.55, 0.56, 0.57], [(0.5, 0.6)] * 3)
USELESS = mail_row([0.5, 0.5, 0.5], [0.49, 0.5, 0.51], [(0.56, 0.6)] * 3)


def worlds() -> list[WorldRows]:
    """Those of two strengths and one number of behaviors; with more behaviors, only one of them."""
    return [
        world(HELPS, attribute_strength=1.0, interactions=0.0),
        world(USELESS, attribute_strength=0.5, interactions=0.0),
        world(HELPS, attribute_strength=0.5, interactions=0.5, behaviors_per_user=40.0),
    ]


def test_every_world_stands_at_its_place() -> None:
    figure = map_figure(worlds(), "Title")
    few, many, bar = figure.axes
    assert (few.get_title(), many.get_title()) == ("behaviors per user 20", "behaviors per user 40")
    assert few.get_ylabel() == "MAIL-Base against BaseDNN\nattribute strength"
    assert (few.get_xlabel(), bar.get_ylabel()) == ("interactions", "RI of AUC, new users, %")
    assert [label.get_text() for label in few.get_xticklabels()] == ["0", "0.5"]
    assert [label.get_text() for label in few.get_yticklabels()] == ["0.5", "1"]
    # By strength and interactions; what does not count has no color, nor has what there is no world for.
    np.testing.assert_array_almost_equal(colors(few), [[np.nan, np.nan], [12, np.nan]])
    np.testing.assert_array_almost_equal(colors(many), [[np.nan, 12], [np.nan, np.nan]])
    assert texts(few) == {(0, 1): "+12.0*", (0, 0): "+0.0"}
    assert texts(many) == {(1, 0): "+12.0*"}
    # Hatched where behavior is worth little.
    (patch,) = few.patches
    assert (patch.get_window_extent().x0, patch.get_hatch()) == (pytest.approx(few.bbox.x0), "////")
    assert patch.get_window_extent().y0 == pytest.approx(few.bbox.y0)
    assert not many.patches


def test_the_star_is_explained_where_there_can_be_one() -> None:
    hatched = "hatched: real v is less than 0.05 above v = 0, or not measured"
    assert title(worlds()) == f"Title *: significant at 5%, Holm-corrected; {hatched}"
    one_seed = mail_row([0.5], [0.55], [(0.5, 0.6)])
    assert title([world(one_seed, interactions=0.0)]) == f"Title {hatched}"


def title(of_worlds: list[WorldRows]) -> str:
    """The title of a figure in one line."""
    return " ".join(map_figure(of_worlds, "Title").get_suptitle().split())


def test_noise_has_no_full_color() -> None:
    # RI .2%: the scale ends at 1%, not at .2%.
    small = mail_row([0.5], [0.501], [(0.5, 0.6)])
    figure = map_figure([world(small, interactions=0.0)], "Title")
    assert figure.axes[0].images[0].get_clim() == (-1.0, 1.0)


def colors(axis: Any) -> Any:
    return axis.images[0].get_array().filled(np.nan)


def texts(axis: Any) -> dict[tuple[float, float], str]:
    return {text.get_position(): text.get_text() for text in axis.texts}


def run_on(data: str, protocol: str = "paper", cell: Any = BASE, seed: int = 0) -> RunFolder:
    config = SimpleNamespace(**{**vars(cell), "data": data, "protocol": protocol, "seed": seed, "cell": cell.cell})
    result = {"dataset": f"{data} (simulated)", "protocol": protocol}
    return cast(RunFolder, SimpleNamespace(config=config, result=result, folder=Path(data)))


def test_the_caption() -> None:
    runs = [run_on("b", seed=1), run_on("a"), run_on("b")]
    assert map_caption(runs) == "2 simulated worlds, protocol paper, seeds 0, 1"
    assert map_caption(runs[:1]) == "b (simulated), protocol paper, seeds 1"
    with pytest.raises(MailError, match=r"the runs are under the protocols paper and strict. Name runs under one."):
        map_caption([*runs, run_on("c", "strict")])


@pytest.mark.parametrize(
    ("rows", "settings", "error"),
    [
        (
            [[HELPS], []],
            [0.0, 1.0],
            "'b': no run that is trained with generated behavior has its baseline next to it. Name the folder of all ",
        ),
        (
            [[HELPS], [mail_row([0.5], [0.55], [(0.5, 0.6)])]],
            [0.0, 1.0],
            "'b' and 'a' do not have the same rows and seeds. Run `mail run` to its end, or name the folders",
        ),
        ([[HELPS], [HELPS]], [0.0, 0.0], "'b' and 'a' are the same world. Name the runs of one of them."),
    ],
)
def test_what_is_no_map(
    rows: list[list[Any]], settings: list[float], error: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    simulations = {name: {**SETTINGS, "attribute_strength": value} for name, value in zip("ab", settings, strict=True)}
    monkeypatch.setattr(plot, "_simulation", lambda _, name: simulations[name])
    by_data = dict(zip("ab", rows, strict=True))
    monkeypatch.setattr(plot, "_generating_rows", lambda group: by_data[group[0].config.data])
    with pytest.raises(MailError) as raised:
        Plot().draw([run_on("b", cell=MAIL), run_on("a", cell=MAIL)], Path("data"))
    assert raised.value.message.startswith(error)


def test_real_data_has_no_map(monkeypatch: pytest.MonkeyPatch) -> None:
    real = SimpleNamespace(simulation=None, folder=Path("data/a"))
    monkeypatch.setattr(plot, "open_dataset", lambda *_: real)
    with pytest.raises(MailError, match=r"data/a: is real data. Expected runs on simulated worlds for the map."):
        Plot().draw([run_on("a")], Path("data"))
