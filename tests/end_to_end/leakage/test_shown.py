"""What training, validation and test show to a model is what the raw files allow."""

from __future__ import annotations

from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from mailcli.data.schema import SPLITS
from mailcli.experiments.cells import train_if_missing
from mailcli.models.factory import make_model
from tests.helpers.leakage import LeakError, Watch, check_rows, check_vocabularies
from tests.helpers.leakage_runs import EPOCHS, PROTOCOLS, TWO_STAGE, config
from tests.helpers.leakage_truth import Draw, Truth


class TestWhatIsShown:
    """Batches against the raw files."""

    def test_the_files_have_what_the_alarms_look_for(self, truth: Truth, draws: dict[str, Draw]) -> None:
        """Enough impressions of the test day have unknown values."""
        assert [sum(impression.split == split for impression in truth.impressions) for split in SPLITS] == [
            5510,
            1034,
            810,
        ]
        expected = truth.expected("test", draws["paper"])
        unknown = {
            name: sum(count for shown, count in expected.items() if getattr(shown, group)[position] is None)
            for name, group, position in (
                ("user", "attributes", 0),
                ("cms_segid", "attributes", 1),
                ("pid", "context", 0),
                ("item", "target", 0),
                ("cate", "target", 1),
                ("customer", "target", 4),
            )
        }
        assert unknown == {"user": 195, "cms_segid": 235, "pid": 124, "item": 262, "cate": 261, "customer": 261}
        assert sum(count for shown, count in expected.items() if any(step[1] is None for step in shown.steps)) == 74

    @pytest.mark.parametrize(
        "protocol", [pytest.param(name, marks=pytest.mark.slow if name == "paper" else []) for name in PROTOCOLS]
    )
    def test_a_step_sees_the_training_days_and_nothing_else(
        self,
        protocol: str,
        late: Dataset,
        truth: Truth,
        draws: dict[str, Draw],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        check_vocabularies(late, truth)
        watch = Watch(monkeypatch, late, truth, draws[protocol])
        run = train_if_missing(config(protocol=protocol, epochs=EPOCHS), late, tmp_path)
        watch.check(EPOCHS)
        model = make_model(late, run.config)
        before = model.embedding.table.numpy()
        run.restore(model)
        after = model.embedding.table.numpy()
        assert len(check_rows(late, before, after, watch.trained)) > 1000
        # Row 0 is the padding of users; row 1 is the unknown user, which training shows only under `strict`.
        after[int(protocol == "paper")] += 1
        with pytest.raises(LeakError, match="1 embeddings have moved unseen, e.g. user with the id [01]"):
            check_rows(late, before, after, watch.trained)

    @pytest.mark.parametrize(
        ("method", "protocol"),
        [
            *(
                # The default suite has the one that steps; others are fitted in closed form, to the same impressions.
                pytest.param(name, "paper", marks=[] if name == "metaemb" else pytest.mark.slow)
                for name in TWO_STAGE
            ),
            pytest.param("metaemb", "strict", marks=pytest.mark.slow),
        ],
    )
    def test_a_two_stage_method_is_fitted_to_the_same(
        self,
        method: str,
        protocol: str,
        late: Dataset,
        truth: Truth,
        draws: dict[str, Draw],
        runs: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        settings = config(method=method, protocol=protocol, epochs=1)
        train_if_missing(settings.baseline(), late, runs)
        watch = Watch(monkeypatch, late, truth, draws[protocol])
        train_if_missing(settings, late, runs)
        watch.check(epochs=0)
        assert watch.fitted == truth.expected("train", draws[protocol]).total()
