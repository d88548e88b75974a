"""How near generated behavior is to what is hidden, in length and in direction."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mailcli.data.dataset import open_dataset
from mailcli.errors import MailError
from mailcli.reporting.plots._style import COLORS, PAGE, caption
from mailcli.reporting.plots.tsne import encode
from mailcli.training.run_folder import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class Nearness(NamedTuple):
    """Of each user, [users]."""

    real: NDArray[np.float64]
    """||Σ v_i||"""
    generated: NDArray[np.float64]
    """||Σ v̂_i||"""
    own: NDArray[np.float64]
    """cos(Σ v̂_i, Σ v_i)"""
    others: NDArray[np.float64]
    """cos(Σ v̂_i, Σ v_i of another user of the same kind): what any user's v̂ would reach."""


class Plot:
    """Norms of Σ v and Σ v̂, and their cosines, old and new users: is v̂ as long as v, and is it the user's own?"""

    def draw(self, runs: Sequence[Run], data_dir: Path) -> dict[str, Figure]:
        """A panel of norms and one of cosines, of one run."""
        from matplotlib.figure import Figure

        if len(runs) != 1:
            raise MailError(f"nearness is of one run, and there are {len(runs)}. Name one run folder.")
        run = runs[0]
        codes = encode(run, open_dataset(data_dir, run.config.data))
        shape = (-1, run.config.history, run.config.embedding_dim)
        real, made = (each.reshape(shape).sum(axis=1) for each in (codes.real, codes.generated))
        kinds = [("old users", ~codes.new), ("new users", codes.new)]
        found = [(name, nearness(real[chosen], made[chosen])) for name, chosen in kinds]
        figure = Figure(figsize=(PAGE, 2.8), layout="constrained")
        lengths, cosines = figure.subplots(1, 2)
        _boxes(
            lengths,
            [
                (f"{name}\n{what}", values)
                for name, each in found
                for what, values in (("$v$", each.real), (r"$\hat{v}$", each.generated))
            ],
        )
        lengths.set(ylabel="norm of the sum of steps", ylim=(0, None))
        _boxes(
            cosines,
            [
                (f"{name}\n{what}", values)
                for name, each in found
                for what, values in (("own $v$", each.own), ("another's", each.others))
            ],
        )
        cosines.set(ylabel=r"cosine of $\hat{v}$ with")
        figure.suptitle(f"{run.config.cell} on {caption([run])}", fontsize="small")
        return {"nearness": figure}


def nearness(real: NDArray[np.floating], generated: NDArray[np.floating]) -> Nearness:
    """Norms and cosines of sums of steps [users, d]; a user's "other" is the next row."""
    v, v_hat = real.astype(np.float64), generated.astype(np.float64)
    norm, norm_hat = (np.linalg.norm(each, axis=1) for each in (v, v_hat))

    def cosine(x: NDArray[np.float64], length: NDArray[np.float64]) -> NDArray[np.float64]:
        # A sum that is zero has no direction: its cosine is NaN, and is not drawn.
        with np.errstate(invalid="ignore"):
            return np.asarray((v_hat * x).sum(axis=1) / (norm_hat * length), np.float64)

    return Nearness(norm, norm_hat, cosine(v, norm), cosine(np.roll(v, 1, axis=0), np.roll(norm, 1)))


def _boxes(axis: object, groups: Sequence[tuple[str, NDArray[np.float64]]]) -> None:
    """A box of each group: median, quartiles, whiskers from the 5th to the 95th percentile."""
    drawn = axis.boxplot(  # type: ignore[attr-defined]
        [values[np.isfinite(values)] for _, values in groups],
        tick_labels=[name for name, _ in groups],
        whis=(5, 95),
        showfliers=False,
        patch_artist=True,
        medianprops={"color": "black"},
    )
    for place, box in enumerate(drawn["boxes"]):
        box.set_facecolor(COLORS[place % 2])
        box.set_alpha(0.5)
