"""The audit of a run: other users are others, sources are what they say, and audit.npz holds their AUC and GAUC."""

from __future__ import annotations

import json
import shutil
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st

from mailcli.config import make_config
from mailcli.data.batches import Batches
from mailcli.data.dataset import Dataset
from mailcli.data.protocol import views
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.metrics.bootstrap import draw_users
from mailcli.models.coldstart.mail import ColdStart as Mail
from mailcli.models.features import Features
from mailcli.runs.audit import RunAudit, measure_audit, read_audit, write_audit
from mailcli.runs.folder import RunFolder
from mailcli.runs.opening import open_run
from mailcli.training.audit_scores import _with_behaviors_of, audit_run
from mailcli.training.hidden_behavior import another_user
from mailcli.training.predictor import Predictor
from tests.helpers.audits import SOURCES, scored_run
from tests.helpers.command_line import error_line, mail
from tests.helpers.features import some_features
from tests.helpers.models import QUICK, SHAPE, mail_config
from tests.helpers.oracles import resampled
from tests.helpers.runs import Trained, copy_run, make_older


class Stranger(Mail):
    """MAIL that gives every user what it generates for the next one of the batch."""

    def generate(self, attributes: Any) -> Any:
        return super().generate(tf.roll(attributes, 1, axis=0))


#: Those of mail_config("base", epochs=1, batch_size=256), without the variant.
STRANGER_SETTINGS = {**SHAPE, "epochs": 1, "batch_size": 256, **QUICK["base"], **QUICK["mail"]}


@given(
    st.lists(st.integers(0, 50), min_size=2, max_size=60).filter(lambda users: len(set(users)) > 1), st.integers(0, 9)
)
def test_everyone_gets_another_user(users: list[int], seed: int) -> None:
    others = another_user(np.array(users), seed)
    pairs = set(zip(users, others.tolist(), strict=True))
    assert all(user != other for user, other in pairs)
    # The same one for all impressions of a user, and each for one user.
    assert len(pairs) == len(set(users)) == len({other for _, other in pairs})
    assert {other for _, other in pairs} == set(users)


def test_numbers_by_hand() -> None:
    own = [0.9, 0.1, 0.2, 0.8, 0.3, 0.4]
    # Of 2 x 4 pairs of a click and another impression, 4.5 are in order; within users, 2 of 2 and 0 of 2.
    other = [0.9, 0.1, 0.2, 0.1, 0.3, 0.4]
    audit = measure_audit(scored_run({"own": own, "other": other}), users=3, draws=50)
    assert audit.users == 2
    assert audit.values[:3] == pytest.approx(np.array([[1, 1], [4.5 / 8, 0.5], [0.5, 0.5]]))
    assert audit.draws.shape == (50, 6, 2)
    assert audit.draws.dtype == np.float32
    # Draws without user 0 and 1 have no metrics; those with user 1 alone have its own.
    for number, weights in enumerate(draw_users(3, 0, number) for number in range(50)):
        drawn = audit.draws[number, 1]
        if weights[0] and not weights[1]:
            assert drawn.tolist() == [1, 1]
        elif weights[1] and not weights[0]:
            assert drawn.tolist() == [0, 0]
        elif not weights[0]:
            assert np.isnan(drawn).all()


class TestRuns:
    """Runs of one epoch on a small dataset."""

    @pytest.fixture(scope="class")
    def runs(self, tiny: Dataset, trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Path:
        runs = tmp_path_factory.mktemp("runs")
        for variant in ("base", None):
            copy_run(trained(mail_config(variant, epochs=1, batch_size=256)), runs)
        stranger = {"data": "tiny", "cold_start": f"{__name__}:Stranger"}
        train_if_missing(make_config([stranger, STRANGER_SETTINGS]), tiny, runs)
        return runs / "tiny" / "paper"

    @pytest.fixture(scope="class")
    def run(self, runs: Path) -> RunFolder:
        (folder,) = runs.glob("base+mail*/seed-0")
        return open_run(folder)

    @pytest.fixture
    def copy(self, run: RunFolder, tmp_path: Path) -> Path:
        return Path(shutil.copytree(run.folder, tmp_path / "copy"))

    def test_sources_are_what_they_say(self, run: RunFolder, tiny: Dataset) -> None:
        predictor = Predictor(run, tiny)
        result = audit_run(run, predictor.model, tiny, views(tiny, run.config))
        hidden = predictor.scorer(predictor.batches(), "")
        shown = predictor.scorer(predictor.batches(predictor.test_with_all_histories), "")
        user = tiny.column("test", "user")
        chosen = predictor.test.new[user] & (tiny.earlier_behaviors("test") > 0)
        assert chosen.any()
        # As the test split is scored, and as it would be if nothing were hidden.
        np.testing.assert_allclose(result.scores["own"], hidden[chosen], atol=1e-6)
        np.testing.assert_allclose(result.scores["real"], shown[chosen], atol=1e-6)
        for source in set(SOURCES) - {"own"}:
            assert np.abs(result.scores[source] - result.scores["own"]).max() > 1e-6, source
        np.testing.assert_array_equal(result.users, user[chosen])
        np.testing.assert_array_equal(result.clicks, tiny.column("test", "click")[chosen])

    def test_every_source_by_hand(self, run: RunFolder, tiny: Dataset) -> None:
        """BaseDNN reads sums: those of a user's attributes beside those of the behavior that a source names."""
        predictor = Predictor(run, tiny)
        model, splits = predictor.model, views(tiny, run.config)
        scored = audit_run(run, model, tiny, splits)
        user = tiny.column("test", "user")
        rows = np.flatnonzero(predictor.test.new[user] & (tiny.earlier_behaviors("test") > 0))
        others = another_user(scored.users, run.config.seed)
        batches = predictor.batches(predictor.test_with_all_histories)

        def embedded(index: int, who: int, *, hidden: bool) -> Any:
            batch: Any = dict(batches.gather(rows[[index]]))
            batch["attributes"] = batches.attributes(np.array([who]))
            for name in ("behaviors", "actions") if hidden else ():
                batch[name] = np.zeros_like(batch[name])
            return model.embedding({name: tf.constant(values) for name, values in batch.items()})

        def generated(index: int, who: int) -> Any:
            return model.cold_start.complete(embedded(index, who, hidden=True)).behavior_sum

        def score(index: int, who: int, behavior: Any) -> float:
            features = embedded(index, who, hidden=True)
            sums = [tf.reduce_sum(part, axis=1) for part in (features.attributes, features.context, features.target)]
            z = tf.concat([sums[0], behavior, *sums[1:], features.dense], axis=1)
            return float(tf.sigmoid(model.ranker.deep(z, False))[0])

        mean_behavior = self._mean_of_old_users(model, tiny, splits["train"], run.config)
        for index in (0, len(rows) // 2, len(rows) - 1):
            own, other = int(scored.users[index]), int(others[index])
            real = embedded(index, own, hidden=False).behavior_sum
            expected = {
                "own": score(index, own, generated(index, own)),
                "other": score(index, own, generated(index, other)),
                "permuted": score(index, other, generated(index, other)),
                "mean": score(index, own, mean_behavior),
                "none": score(index, own, tf.zeros_like(real)),
                "real": score(index, own, real),
            }
            assert {name: float(scored.scores[name][index]) for name in SOURCES} == pytest.approx(expected, abs=1e-5)

    @staticmethod
    def _mean_of_old_users(model: Any, tiny: Dataset, train: Any, config: Any) -> Any:
        """[1, d], the mean step of old users at their last training impression, times their mean number of steps."""
        batches = Batches(tiny, train, config.history, config.batch_size)
        user = tiny.column("train", "user")[train.rows]
        last = [train.rows[user == who][-1] for who in np.unique(user)]
        batch = batches.gather(np.array(last))
        features = model.embedding({name: tf.constant(values) for name, values in batch.items()})
        means, lengths = [], []
        for behaviors, mask in zip(features.behaviors.numpy(), features.behavior_mask.numpy(), strict=True):
            steps = behaviors[mask]
            if len(steps):
                means.append(steps.mean(axis=0))
                lengths.append(len(steps))
        return tf.constant(np.mean(means, axis=0)[None] * round(float(np.mean(lengths))), tf.float32)

    def test_the_file_of_a_run_holds_the_metrics_of_its_scores(self, run: RunFolder, tiny: Dataset) -> None:
        with np.load(run.folder / "audit.npz", allow_pickle=False) as file:
            assert set(file) == {"sources", "users", "values", "draws"}
            assert file["sources"].tolist() == SOURCES
            users, values, draws = int(file["users"]), file["values"], file["draws"]
        assert draws.shape == (500, 6, 2)
        scored = audit_run(run, Predictor(run, tiny).model, tiny, views(tiny, run.config))
        assert users == len(set(scored.users.tolist()))
        population = tiny.counts["users"]
        for index, source in enumerate(SOURCES):
            impressions = scored.users.tolist(), scored.clicks.tolist(), scored.scores[source].tolist()
            assert values[index] == pytest.approx(resampled(*impressions, range(population)), abs=1e-12)
            draw = np.repeat(np.arange(population), draw_users(population, 0, 3)).tolist()
            assert draws[3, index] == pytest.approx(resampled(*impressions, draw), abs=1e-6)

    def test_only_runs_that_generate_behavior_have_one(self, runs: Path) -> None:
        assert not (runs / "base+none/seed-0/audit.npz").exists()
        assert len(list(runs.glob("*/seed-0/audit.npz"))) == 2

    def test_the_same_run_writes_the_same_bytes(self, run: RunFolder, tiny: Dataset, tmp_path: Path) -> None:
        audit = run.audit
        assert audit is not None
        write_audit(tmp_path / "audit.npz", audit)
        assert (tmp_path / "audit.npz").read_bytes() == (run.folder / "audit.npz").read_bytes()

    def test_the_command_reads_the_file_and_computes_more_draws(
        self, copy: Path, with_data: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = mail("audit", copy, "--bootstrap", 501, "--format", "json")
        assert made.exit_code == 0, made.output
        # An older run has no file: the same numbers come from its weights.
        read = mail("audit", copy, "--format", "json")
        shutil.rmtree(with_data / "data")
        assert mail("audit", copy, "--format", "json").stdout == read.stdout
        assert error_line(mail("audit", copy, "--bootstrap", 501)).startswith("data")
        first, second = (json.loads(result.stdout)[0]["results"] for result in (made, read))
        assert [record["mean"] for record in first] == [record["mean"] for record in second]

    def test_a_run_that_is_given_twice_counts_once(self, copy: Path) -> None:
        once = mail("audit", copy, "--format", "json")
        assert once.exit_code == 0, once.output
        again = copy.parent / ".." / copy.parent.name / copy.name
        assert mail("audit", copy, again, "--format", "json").stdout == once.stdout

    def test_older_runs_are_audited_by_their_weights(self, copy: Path, with_data: Path) -> None:
        read = mail("audit", copy)
        make_older(copy)
        (copy / "audit.npz").unlink()
        assert mail("audit", copy).stdout == read.stdout

    def test_a_stranger_gets_what_mail_generates_for_the_next_user(self, runs: Path, tiny: Dataset) -> None:
        """The planted fault is there: the verdict of the tests below is about it."""
        (folder,) = runs.glob("*Stranger/seed-0")
        predictor = Predictor(open_run(folder), tiny)
        model, batches = predictor.model, predictor.batches()
        user = tiny.column("test", "user")
        rows = np.flatnonzero(predictor.test.new[user])
        rows = rows[np.unique(user[rows], return_index=True)[1]]
        batch = batches.gather(rows)
        features = model.embedding({name: tf.constant(values) for name, values in batch.items()})
        own = Mail.generate(model.cold_start, features.attributes)[1].numpy()
        given = model.cold_start.complete(features).behavior_sum.numpy()
        np.testing.assert_allclose(given, np.roll(own, 1, axis=0), atol=1e-6)
        assert np.abs(given - own).max() > 1e-3

    def test_a_strangers_behavior_is_not_personal(self, runs: Path, with_data: Path) -> None:
        (folder,) = runs.glob("*Stranger")
        result = mail("audit", folder, "--bootstrap", 80, "--format", "json")
        assert result.exit_code == 0, result.output
        records = json.loads(result.stdout)[0]["results"]
        assert [record["source"] for record in records[::2]] == SOURCES
        assert not any(record["personal"] for record in records)
        verdict = "no evidence that v̂ is personal: another user's costs nothing significant"
        assert verdict in mail("audit", folder, "--bootstrap", 80).stdout

    def test_the_table_of_train_says_so(self, runs: Path, with_data: Path) -> None:
        """And that of `evaluate`; the runs are reused."""
        options = [option for key, value in STRANGER_SETTINGS.items() for option in ("--set", f"{key}={value}")]
        method = f"{__name__}:Stranger"
        trained = mail("train", "--data", "tiny", "--cold-start", method, *options, "--runs", runs.parents[1])
        assert trained.exit_code == 0, trained.output
        (folder,) = runs.glob("*Stranger/seed-0")
        verdict = "no evidence that v̂ is personal (another user's costs nothing significant)"
        for result in (trained, mail("evaluate", folder)):
            # Its label holds the options, and hence commas.
            assert f"{verdict}: 'base+{method.replace(':', '-')}" in result.stdout
            assert "Audit of v̂: " in result.stdout
        assert "Audit" not in mail("evaluate", runs / "base+none/seed-0").stdout

    def test_a_run_that_generates_nothing_is_refused(self, runs: Path, with_data: Path) -> None:
        (folder,) = runs.glob("base+none/seed-0")
        assert error_line(mail("audit", folder)) == (
            f"{folder}: 'none' generates no behavior, so there is nothing to audit. "
            "Expected a run of one of 'conse', 'cvae', 'eszsl', 'llae', 'mail', 'mail-pooled', 'mail-softmax', 'match', 'neighbors'."
        )

    def test_runs_of_a_folder_that_cannot_be_audited_are_skipped(self, runs: Path, with_data: Path) -> None:
        (folder,) = runs.glob("base+none/seed-0")
        done = mail("audit", runs)
        assert done.exit_code == 0, done.output
        assert f"Skipped: {folder}: 'none' generates no behavior" in done.stderr
        assert done.stdout.count("Audit of ") == 2
        assert "generates no behavior" in error_line(mail("audit", runs, folder)), "it is named, so it is refused"
        assert "generates no behavior" in error_line(mail("audit", folder.parent)), "there is no other"

    @pytest.mark.parametrize(
        ("change", "reason"),
        [
            (lambda x: {**x, "sources": x["sources"][:5]}, "its sources are ['own', 'other', 'permuted', 'mean', 'non"),
            (lambda x: {**x, "users": np.array(1)}, "users is not a number from 2"),
            (lambda x: {**x, "users": np.array([3])}, "users is not a number from 2"),
            (lambda x: {**x, "values": x["values"][:, :1]}, "values is float64 (6, 1), expected float64 (6, 2)"),
            (lambda x: {**x, "values": x["values"] + 1}, "values holds a number that is not from 0 to 1"),
            (lambda x: {**x, "draws": x["draws"].astype(float)}, "draws is float64 (500, 6, 2), expected float32 (80 "),
            (lambda x: {**x, "draws": x["draws"][:79]}, "draws is float32 (79, 6, 2), expected float32 (80 or more"),
            (lambda x: {**x, "draws": x["draws"] / 0}, "draws holds a number that is not from 0 to 1"),
            (lambda x: {"sources": x["sources"]}, "'users"),
            (lambda x: {**x, "users": np.array([{}], object)}, "Object arrays cannot be loaded"),
        ],
    )
    @pytest.mark.filterwarnings("ignore::RuntimeWarning")
    def test_a_damaged_file_of_a_run_without_checksums(
        self, copy: Path, change: Callable[[dict[str, Any]], dict[str, Any]], reason: str
    ) -> None:
        make_older(copy)
        path = copy / "audit.npz"
        with np.load(path) as file:
            arrays = change(dict(file))
        np.savez(path, **arrays)
        error = error_line(mail("audit", copy))
        assert error.startswith(f"{path}: is damaged ({reason}")
        assert error.endswith("Delete the folder and repeat the command that made it.")

    def test_a_changed_or_deleted_file_is_noticed(self, copy: Path) -> None:
        path = copy / "audit.npz"
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        error = error_line(mail("audit", copy))
        assert error.startswith(f"{path}: was changed after the run had finished: its SHA-256 is not that in SHA256SUM")
        path.unlink()
        assert error_line(mail("audit", copy)).startswith(f"{path}: is missing, although SHA256SUMS names it.")

    @pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"x" * 100])
    def test_other_files(self, tmp_path: Path, content: bytes) -> None:
        path = tmp_path / "audit.npz"
        assert read_audit(path) is None
        path.write_bytes(content)
        with pytest.raises(MailError) as error:
            read_audit(path)
        assert error.value.message.startswith(f"{path}: is damaged (")
        path.unlink()
        path.mkdir()
        with pytest.raises(MailError, match="it is not a file"):
            read_audit(path)

    @pytest.mark.parametrize("kind", ["data", "password", "compression"])
    def test_damage_within_the_archive(self, tmp_path: Path, kind: str) -> None:
        path = tmp_path / "audit.npz"
        write_audit(path, measure_audit(scored_run({}), users=2, draws=80))
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as archive:
            entry = archive.getinfo("draws.npy")
            directory = archive.start_dir
        if kind == "data":
            # A block of compressed data of the kind 3, which does not exist.
            name, extra = struct.unpack_from("<HH", content, entry.header_offset + 26)
            content[entry.header_offset + 30 + name + extra] = 0b111
        else:
            # The flags, and the kind of compression, in the directory's entry: 38 bytes before the name.
            place = content.index(b"draws.npy", directory) - 46 + (8 if kind == "password" else 10)
            content[place] = 1
        path.write_bytes(content)
        with pytest.raises(MailError) as error:
            read_audit(path)
        assert error.value.message.startswith(f"{path}: is damaged (")

    def test_new_users_who_cannot_be_measured_are_not_audited(
        self, run: RunFolder, tiny: Dataset, tmp_path: Path
    ) -> None:
        """The last new user's impressions alone: fewer than two users, or one label."""
        splits = views(tiny, run.config)
        test, model = splits["test"], Predictor(run, tiny).model
        user, click = tiny.column("test", "user"), tiny.column("test", "click")
        hidden = test.new[user] & (tiny.earlier_behaviors("test") > 0)
        one_user = next(u for u in np.unique(user[hidden]) if len(np.unique(click[hidden & (user == u)])) == 2)
        for chosen, message in (
            (hidden & (user == one_user), "fewer than two new users of the test split have behavior."),
            (
                hidden & (click == 0),
                "all test impressions of drawn new users with behavior have the same label, so there is no AUC.",
            ),
            (test.new[user] & ~hidden, "no user drawn as new has behavior before a test impression."),
        ):
            only = {**splits, "test": test._replace(rows=np.flatnonzero(chosen))}
            with pytest.raises(MailError, match=message):
                audit_run(run, model, tiny, only)


def test_gauc_may_be_undefined() -> None:
    """Each user has one label: AUC exists, GAUC does not."""
    scored = scored_run({"own": [0.9, 0.8, 0.7, 0.1, 0.2, 0.3]})._replace(
        clicks=np.array([1, 1, 1, 0, 0, 0], np.float32)
    )
    audit = measure_audit(scored, users=2, draws=40)
    assert isinstance(audit, RunAudit)
    assert audit.values[0, 0] == 1
    assert np.isnan(audit.values[:, 1]).all()
    assert np.isnan(audit.draws[:, :, 1]).all()


def test_another_users_v_hat_is_all_that_was_generated_for_them() -> None:
    """What `match` predicts, `prepared`, takes the other's place, too; attributes and the target stay one's own."""
    own = some_features(2)._replace(prepared=tf.constant([0.1, 0.2]))
    other = some_features(2, new=[0], seed=1)._replace(prepared=tf.constant([0.3, 0.4]))
    mixed = _with_behaviors_of(own, other)
    taken = {"behaviors", "behavior_mask", "behavior_sum", "action_ids", "prepared"}
    for name in Features._fields:
        expected = getattr(other if name in taken else own, name)
        np.testing.assert_array_equal(getattr(mixed, name), expected, err_msg=name)
