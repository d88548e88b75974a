"""Rankers and cold-start methods from outside the package."""

from __future__ import annotations

import importlib
import shutil
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from mailcli import plugins
from mailcli.config import make_config
from mailcli.data.dataset import Dataset
from mailcli.errors import MailError
from mailcli.experiments.cells import train_if_missing
from mailcli.experiments.matrix import make_rows
from mailcli.models.factory import make_model
from mailcli.reporting.rescore import rescore
from mailcli.runs.registry import find_run
from mailcli.training.train import train
from tests.helpers.command_line import mail

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

#: Rankers that break the contract, and the error for each.
BROKEN = {
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    "        return features.query\n": "`call(features, training)` should return click logits of shape [B], or a dict of such "
    "logits, 'click' and 'conversion'. Received for one impression: {'click': (1, 8)}",
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, weights):\n"
    "        return features.query[:, 0]\n": "Expected a ranker `call(features, training)` that takes",
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    "        return features.item[:, 0]\n": "'Features' object has no attribute 'item'",
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    "        return features.target_id\n": "Received for one impression: {'click': '(1,) of int32, expected floats'}",
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    "        return features.query.numpy()[:, 0]\n": "should return click logits of shape [B]",
    "import keras\nclass R(keras.layers.Layer):\n    def __init__(self):\n        pass\n": "Expected a ranker",
    "import keras\nR = keras.layers.Dense(1)\n": "ranker 'broken:R': is an instance: a second run would start from the "
    "first one's weights. Give its class.",
    "from mailcli.models import RankingTower\nclass R(RankingTower):\n    pass\n": "NotImplementedError",
    "R = 5\n": "should be a keras.layers.Layer with `call(features, training)`, or such a function. Received: int 5",
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    "        return {'buy': features.query[:, 0]}\n": "Received for one impression: {'buy': (1,)}",
    "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    "        return {'click': features.query[:, 0], 'conversion': features.query[:, 1]}\n": "it needs the label 'conversion', "
    "but the dataset has only 'click' (a schema file names its column as impressions.conversion; "
    "`mail simulate --conversions` simulates one)",
    "class R:\n    pass\n": "ranker 'broken:R': should be a keras.layers.Layer with `call(features, training)`, or such",
    "import keras\nclass R(keras.layers.Layer):\n    def __init__(self, width, **kwargs):\n"
    "        super().__init__(**kwargs)\n": "missing 1 required positional argument: 'width'",
}


#: Methods that break the contract, and the error for each.
METHOD = "from mailcli.models import ColdStartMethod\nclass M(ColdStartMethod):\n"
EXPECTED_METHOD = (
    " Expected a method `complete(features, training)` that takes and returns mailcli.models.Features, and losses that "
    "are scalars and depend on its variables (docs/your-own-method.md)."
)
BROKEN_METHODS = {
    "    pass\n": "NotImplementedError: `complete` is not defined.",
    "    def complete(self, features, training=False):\n        pass\n": "broken.py, line 3: AttributeError: 'NoneType' "
    "object has no attribute 'attributes'.",
    "    def complete(self, features, training=False):\n        raise KeyError('nope')\n": "broken.py, line 4: KeyError: "
    "'nope'.",
    # TensorFlow's AutoGraph turns it into an error whose text is a traceback.
    "    co_trained = True\n    def build_for(self, spec):\n        self.scale = self.add_weight(shape=())\n"
    "    def complete(self, features, training=False):\n        return features\n"
    "    def zero_shot_losses(self, features, training=False):\n        return {'L': features.attributes}\n": "broken.py, "
    "line 6: ValueError: No gradients provided for any variable.",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a test; modules imported from it are removed afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in [name for name in sys.modules if name.split(".")[0] in {"broken", "mine", "examples"}]:
        monkeypatch.delitem(sys.modules, name)
    return tmp_path


def settings(**others: str) -> dict[str, object]:
    return {"data": "tiny", "embedding_dim": 8, "history": 10, **others}


@pytest.mark.parametrize("code", BROKEN)
def test_what_breaks_the_contract_is_refused_before_training(folder: Path, tiny: Dataset, code: str) -> None:
    sys.modules.pop("broken", None)
    (folder / "broken.py").write_text(code)
    with pytest.raises(MailError) as error:
        make_model(tiny, make_config([settings(ranker="broken:R")]))
    assert BROKEN[code] in error.value.message
    sys.modules.pop("broken", None)


@pytest.mark.parametrize("code", BROKEN_METHODS)
def test_what_breaks_a_methods_contract_is_refused_before_training(folder: Path, tiny: Dataset, code: str) -> None:
    sys.modules.pop("broken", None)
    (folder / "broken.py").write_text(METHOD + code)
    with pytest.raises(MailError) as error:
        make_model(tiny, make_config([settings(cold_start="broken:M")]))
    place = "base+broken:M on tiny: "
    assert error.value.message == place + BROKEN_METHODS[code] + EXPECTED_METHOD
    sys.modules.pop("broken", None)


def test_an_error_is_that_of_the_ranker_or_the_method(folder: Path, tiny: Dataset) -> None:
    """Both are in one file: the line says which of them has failed."""
    ranker = "import keras\nclass R(keras.layers.Layer):\n    def call(self, features, training=False):\n"
    method = "\nclass M(ColdStartMethod):\n    def complete(self, features, training=False):\n"
    head, works = "from mailcli.models import ColdStartMethod\n", "        return features.query[:, 0]\n"
    fails = "        raise KeyError('nope')\n"
    codes = {
        head + ranker + fails + method + "        return features\n": "Expected a ranker",
        head + ranker + works + method + fails: "Expected a method",
    }
    for code, expected in codes.items():
        sys.modules.pop("broken", None)
        (folder / "broken.py").write_text(code)
        with pytest.raises(MailError) as error:
            make_model(tiny, make_config([settings(ranker="broken:R", cold_start="broken:M")]))
        assert expected in error.value.message
        assert "KeyError: nope. Expected" in error.value.message.replace("'nope'", "nope")
    sys.modules.pop("broken", None)


def test_of_classes_without_source_the_error_is_reported_all_the_same(folder: Path, tiny: Dataset) -> None:
    """Both are made by `type`, in one file, and the method fails."""
    sys.modules.pop("broken", None)
    (folder / "broken.py").write_text(
        "import keras\nfrom mailcli.models import ColdStartMethod\n"
        "def call(self, features, training=False):\n    return features.query[:, 0]\n"
        "def complete(self, features, training=False):\n    raise KeyError('nope')\n"
        "R = type('R', (keras.layers.Layer,), {'call': call, '__module__': __name__})\n"
        "M = type('M', (ColdStartMethod,), {'complete': complete, '__module__': __name__})\n"
    )
    with pytest.raises(MailError) as error:
        make_model(tiny, make_config([settings(ranker="broken:R", cold_start="broken:M")]))
    assert "broken.py, line 6: KeyError: 'nope'. Expected a method" in error.value.message
    sys.modules.pop("broken", None)


@pytest.mark.parametrize(
    "name", ["L_rt", *(pytest.param(name, marks=pytest.mark.slow) for name in ("gradient_zst", "step"))]
)
def test_a_loss_of_a_method_has_a_name_of_its_own(folder: Path, tiny: Dataset, name: str) -> None:
    sys.modules.pop("broken", None)
    (folder / "broken.py").write_text(
        "import tensorflow as tf\nfrom mailcli.models import ColdStartMethod\nclass M(ColdStartMethod):\n"
        "    def complete(self, features, training=False):\n        return features\n"
        f"    def ranking_losses(self, features, click, logit):\n        return {{'{name}': tf.constant(7.0)}}\n"
    )
    config = make_config([settings(cold_start="broken:M")])
    with pytest.raises(
        MailError, match=f"ValueError: a method's loss should have a name of its own. Received: '{name}'"
    ):
        make_model(tiny, config)
    sys.modules.pop("broken", None)


def test_an_error_of_the_users_own_code_names_file_and_line(folder: Path, tiny: Dataset) -> None:
    (folder / "mine.py").write_text(
        "import keras\n\n\n"
        "class R(keras.layers.Layer):\n"
        "    def call(self, features, training=False):\n"
        "        return self.look(features)\n\n"
        "    def look(self, features):\n"
        "        return self.hidden(features.query)[:, 0]\n"
    )
    with pytest.raises(MailError) as error:
        make_model(tiny, make_config([settings(ranker="mine:R")]))
    assert error.value.message.startswith("mine:R+none on tiny: mine.py, line 9: AttributeError: ")
    assert "'R' object has no attribute 'hidden'" in error.value.message


def test_an_error_of_tracing_names_file_and_line(folder: Path, tiny: Dataset) -> None:
    """The copy of the code that AutoGraph makes fails, where the first call did not."""
    (folder / "mine.py").write_text(
        "import tensorflow as tf\n\n\n"
        "def bias(features, training):\n"
        "    if tf.reduce_sum(features.query) > 0:\n"
        "        seen = 1.0\n"
        "    return features.query[:, 0] * seen\n"
    )
    with pytest.raises(MailError, match=r"^mine:bias\+none on tiny: mine\.py, line \d: "):
        make_model(tiny, make_config([settings(ranker="mine:bias")]))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "nowhere:R",
            "ranker 'nowhere:R': there is no module 'nowhere'. Expected package.module:Class, importable from ",
        ),
        ("mine:Rnker", "ranker 'mine:Rnker': 'mine' has no 'Rnker'. Did you mean 'Ranker'?"),
        ("mine:", "ranker 'mine:': 'mine' has no ''."),
        (":R", "ranker ':R': there is no module ''."),
        (".mine:R", "ranker '.mine:R': there is no module '.mine'."),
        ("mailcli.nope.mod:R", "ranker 'mailcli.nope.mod:R': there is no module 'mailcli.nope.mod'."),
        ("itertools:count", "the module 'itertools' has no file whose SHA-256 a run could record."),
        ("mine", "unknown ranker 'mine'. Did you mean 'din'?"),
    ],
)
def test_what_cannot_be_imported_is_reported(folder: Path, name: str, message: str) -> None:
    (folder / "mine.py").write_text("class Ranker:\n    pass\n")
    with pytest.raises(MailError) as error:
        plugins.load(plugins.RANKERS, name)
    assert error.value.message.startswith(message)


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        (
            plugins.SOURCES,
            "json:loads",
            "data source 'json:loads': expected a class that extends mailcli.preprocessing.sources._base.RawData "
            "(CONTRIBUTING.md).",
        ),
        (
            plugins.ENGINES,
            "json:JSONDecoder",
            "engine 'json:JSONDecoder': expected a class that extends "
            "mailcli.preprocessing.engines._base.DataEngine (CONTRIBUTING.md).",
        ),
        (plugins.PLOTS, "mine:Figures", "figure 'mine:Figures' does not define 'draw'."),
    ],
)
def test_what_does_not_extend_the_abstract_class_is_refused(
    folder: Path, kind: plugins.PluginKind, name: str, message: str
) -> None:
    (folder / "mine.py").write_text(
        "from mailcli.reporting.plots._base import RunFigures\nclass Figures(RunFigures):\n    pass\n"
    )
    with pytest.raises(MailError) as error:
        plugins.load(kind, name)
    assert error.value.message == message


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("import keras\nimport no_such_package\n", "line 2: ModuleNotFoundError: No module named 'no_such_package'"),
        ("import keras\nclass R(keras.layers.Layre):\n    pass\n", "line 2: AttributeError: module 'keras"),
        ("import keras\n\nunits = int('many')\n", "line 3: ValueError: invalid literal for int()"),
        ("import keras\nclass R(keras.layers.Layer)\n    pass\n", "line 2: SyntaxError: expected ':'"),
        (
            "import sys\n\nsys.exit(0)\n",
            "line 3: the module exits while it is imported. Put what it runs as a program under "
            "`if __name__ == '__main__':`.",
        ),
        # What it needs is no argument of `mail`.
        (
            "import argparse\nparser = argparse.ArgumentParser()\nparser.add_argument('needed')\nparser.parse_args([])\n",
            "line 4: the module exits while it is imported. Put what it runs as a program under "
            "`if __name__ == '__main__':`.",
        ),
    ],
)
def test_an_error_of_the_import_names_file_and_line(folder: Path, code: str, message: str) -> None:
    (folder / "mine.py").write_text(code)
    with pytest.raises(MailError) as error:
        plugins.load(plugins.RANKERS, "mine:R")
    assert error.value.message.startswith(f"ranker 'mine:R': mine.py, {message}")


def test_what_editors_and_systems_leave_next_to_a_plugin_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Emacs' lock of a file that is being edited, and what macOS adds to a copy of one."""
    (tmp_path / "trivial").mkdir()
    for name in (".#item_rate.py", "._item_rate.py", "_base.py"):
        (tmp_path / "trivial" / name).write_bytes(b"\0")
    (tmp_path / "trivial" / "item_rate.py").write_text('class TrivialRow:\n    """Rates.\n\n    More."""\n')
    (tmp_path / "trivial" / "half_done.py").write_text("class TrivialRow:\n    pass\n")
    monkeypatch.setattr(plugins, "__file__", str(tmp_path / "plugins.py"))
    assert plugins.names(plugins.TRIVIAL_ROWS) == ["half-done", "item-rate"]
    assert plugins.summaries(plugins.TRIVIAL_ROWS) == {"half-done": "", "item-rate": "Rates."}


def test_a_file_without_the_class_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "trivial").mkdir()
    path = tmp_path / "trivial" / "half_done.py"
    path.write_text("class Row:\n    pass\n")
    monkeypatch.setattr(plugins, "__file__", str(tmp_path / "plugins.py"))
    with pytest.raises(MailError) as error:
        plugins.summaries(plugins.TRIVIAL_ROWS)
    assert error.value.message == (
        f"{path}: defines no class 'TrivialRow'. Expected a trivial row (CONTRIBUTING.md); the name of a helper begins "
        "with '_'."
    )


@pytest.mark.parametrize(
    ("body", "message"),
    [
        # A typo in the constructor, a wrong shape of what is returned, a signature that does not fit.
        (
            "    def __init__(self):\n        super().__init__()\n        self.hidden = keras.layers.Dens(1)\n",
            "ranker 'mine:R': mine.py, line 7: AttributeError: ",
        ),
        (
            "    def call(self, features, training=False):\n        return features.query\n",
            "mine:R+none on tiny: mine.py, line 5: ValueError: `call(features, training)` should return click logits",
        ),
        (
            "    def call(self, features, training=False):\n        return features.query[:1, 0]\n",
            "mine:R+none on tiny: mine.py, line 5: ValueError: `call(features, training)` should return click logits of "
            "shape [B]. Received for two impressions: (1,)",
        ),
        (
            "    def call(self, features, training=False):\n        return keras.ops.reshape(features.query[:, 0], (1,))\n",
            "mine:R+none on tiny: mine.py, line 6: InvalidArgumentError: ",
        ),
        (
            "    def call(self, features, weights):\n        return features.query[:, 0]\n",
            "mine:R+none on tiny: mine.py, line 5: TypeError: ",
        ),
    ],
)
def test_whatever_is_wrong_before_training_names_file_and_line(
    folder: Path, tiny: Dataset, body: str, message: str
) -> None:
    (folder / "mine.py").write_text(f"import keras\n\n\nclass R(keras.layers.Layer):\n{body}")
    with pytest.raises(MailError) as error:
        make_model(tiny, make_config([settings(ranker="mine:R")]))
    assert error.value.message.startswith(message)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lines", "message"),
    [
        # 0 / 0, the gradient of a root at 0, a shape that fits one impression and no batch.
        (
            ["zeros = features.query[:, 0] * 0.0", "return features.query[:, 0] + zeros / zeros"],
            "mine.py, line 6: the first number that is not finite is NaN in the result of RealDiv.",
        ),
        (
            ["squares = tf.reduce_sum(features.dense * 0.0, axis=1) + 0.0 * features.query[:, 0]", "return tf.sqrt(squares)"],
            "mine.py, line 4: the first number that is not finite is an infinite number in the result of SqrtGrad.",
        ),
        (
            ["first = features.query[:, 0]", "return first + tf.zeros(5 if training else tf.shape(first)[0])"],
            "mine:bias+none on tiny: mine.py, line 6: InvalidArgumentError: Incompatible shapes: [1024] vs. [5]",
        ),
    ],
)  # fmt: skip
def test_an_error_while_training_names_file_and_line(
    folder: Path, tiny: Dataset, lines: list[str], message: str
) -> None:
    body = "".join(f"    {line}\n" for line in lines)
    (folder / "mine.py").write_text(f"import tensorflow as tf\n\n\ndef bias(features, training):\n{body}")
    run = find_run(folder / "runs", make_config([settings(ranker="mine:bias", epochs="1")]), tiny)
    with pytest.raises(MailError) as error:
        train(run, tiny)
    assert message in error.value.message
    assert "\n" not in error.value.message


def test_a_plain_function_is_a_ranker(folder: Path, tiny: Dataset) -> None:
    (folder / "mine.py").write_text("def bias(features, training):\n    return features.query[:, 0]\n")
    model = make_model(tiny, make_config([settings(ranker="mine:bias")]))
    assert model.ranker.trainable_variables == []
    with pytest.raises(MailError, match="is a function, so it has no options. Received: 'units'"):
        make_model(tiny, make_config([settings(ranker="mine:bias"), {"ranker.units": "3"}]))


def test_a_cold_start_method_from_outside(folder: Path, tiny: Dataset) -> None:
    (folder / "mine.py").write_text(
        "from mailcli.models import ColdStartMethod\n"
        "class Same(ColdStartMethod):\n    def complete(self, features, training=False):\n        return features\n"
        "class Other:\n    pass\n"
    )
    assert make_model(tiny, make_config([settings(cold_start="mine:Same")])).cold_start.trainable_variables == []
    with pytest.raises(MailError, match="should be a subclass of mailcli.models.ColdStartMethod"):
        make_rows([make_config([settings(cold_start="mine:Other")])], [0], tiny, folder / "runs")
    assert not (folder / "runs").exists()


def test_an_entry_point_is_known_by_its_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine.py").write_text("class Ranker:\n    pass\n")
    points = {"mail.rankers": [EntryPoint("theirs", "mine:Ranker", "mail.rankers")]}
    monkeypatch.setattr("mailcli.plugins.entry_points", lambda group: points.get(group, []))
    assert plugins.load(plugins.RANKERS, "theirs").__name__ == "Ranker"
    with pytest.raises(MailError, match="unknown ranker 'their'. Did you mean 'theirs'?"):
        plugins.check(plugins.RANKERS, "their")


def test_a_run_of_other_code_is_not_reused(folder: Path, tiny: Dataset) -> None:
    (folder / "mine.py").write_text("def bias(features, training):\n    return features.query[:, 0]\n")
    config = make_config([settings(ranker="mine:bias")])
    find_run(folder / "runs", config, tiny).begin()
    assert find_run(folder / "runs", config, tiny).config == config
    sys.modules.pop("mine")
    (folder / "mine.py").write_text("def bias(features, training):\n    return features.query[:, 1] + 1\n")
    importlib.invalidate_caches()
    with pytest.raises(MailError, match=r"holds a run with other settings \(ranker_sha256: '"):
        find_run(folder / "runs", config, tiny)
    assert find_run(folder / "runs", config, tiny, overwrite=True).is_replaceable


def test_a_file_that_changes_after_its_import_is_refused_until_it_is_imported_again(folder: Path) -> None:
    """A notebook's process imports a module once: a run would otherwise record code that did not run."""
    path = folder / "mine.py"
    path.write_text("def bias(features, training):\n    return 1\n")
    before = plugins.code_sha256(plugins.RANKERS, "mine:bias")
    path.write_text("def bias(features, training):\n    return 22\n")
    for use in (plugins.code_sha256, plugins.load):
        with pytest.raises(MailError) as error:
            use(plugins.RANKERS, "mine:bias")
        assert error.value.message == (
            f"{path}: has changed since it was imported. Restart Python, or import it again with importlib.reload."
        )
    importlib.reload(sys.modules["mine"])
    assert plugins.load(plugins.RANKERS, "mine:bias")(None, False) == 22
    assert plugins.code_sha256(plugins.RANKERS, "mine:bias") != before


@pytest.mark.slow
def test_a_second_run_in_a_process_is_as_in_a_new_one(folder: Path, tiny: Dataset) -> None:
    shutil.copytree(ROOT / "examples", folder / "examples")
    small = {"ranker": "examples.keras_rs_dot:Dlrm", "epochs": "1", "batch_size": "256"}
    first, second = (make_config([settings(**small), {"seed": seed}]) for seed in (0, 1))
    order = ((first, "a"), (second, "a"), (first, "b"))
    results = [train_if_missing(config, tiny, folder / runs).result for config, runs in order]
    assert results[0] == results[2]
    assert results[0] != results[1]


def test_an_import_does_not_shift_the_seed(folder: Path, tiny: Dataset) -> None:
    (folder / "mine.py").write_text(
        "import random\nimport keras\nrandom.random()\nclass R(keras.layers.Layer):\n"
        "    def call(self, features, training=False):\n        return features.query[:, 0]\n"
    )
    config = make_config([settings(ranker="mine:R")])
    first, second = (make_model(tiny, config).embedding.table.numpy() for _ in range(2))
    assert (first == second).all()


def test_what_cannot_be_made_is_reported_before_anything_is_trained(folder: Path, tiny: Dataset) -> None:
    good = make_config([settings(ranker="emblr")])
    bad = make_config([settings(cold_start="mail"), {"cold_start.bogus": "1"}])
    with pytest.raises(MailError, match="cold-start method 'mail' has no option 'bogus'"):
        make_rows([good, bad], [0], tiny, folder / "runs")
    assert not (folder / "runs").exists()


def test_evaluate_notices_other_code(folder: Path, tiny: Dataset, data_dir: Path) -> None:
    (folder / "mine.py").write_text("def bias(features, training):\n    return features.query[:, 0]\n")
    run = train_if_missing(
        make_config([settings(ranker="mine:bias", epochs="1", batch_size="512")]), tiny, folder / "runs"
    )
    sys.modules.pop("mine")
    (folder / "mine.py").write_text("def bias(features, training):\n    return 2 * features.query[:, 0]\n")
    importlib.invalidate_caches()
    with pytest.raises(
        MailError,
        match="'mine:bias' has changed since training. Train it again with --overwrite, or in another --runs folder.",
    ):
        rescore([run], data_dir)


def test_there_are_examples() -> None:
    assert [path.stem for path in EXAMPLES] == [
        "keras_rs_dot",
        "last_behavior",
        "match_term",
        "typical_behavior",
        "without_inputs",
    ]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, id=path.stem, marks=[] if path.stem == "last_behavior" else pytest.mark.slow)
        for path in EXAMPLES
    ],
)
def test_an_example_runs_as_its_first_line_says(path: Path, data_dir: Path, folder: Path) -> None:
    code = path.read_text()
    assert len(code.splitlines()) < 45
    command = code.splitlines()[0].strip('"').split("mail ")[-1]
    assert command.startswith(("train --ranker examples.", "train --cold-start examples."))
    shutil.copytree(path.parent, folder / "examples")
    small = "--set embedding_dim=8 --set history=10 --set epochs=1 --set batch_size=256"
    done = mail(*command.split(), *small.split(), "--data-dir", data_dir)
    assert done.exit_code == 0, done.output
    cells = [cell.name for cell in (folder / "runs" / "tiny" / "paper").iterdir()]
    assert any(f"examples.{path.stem}-" in cell for cell in cells)
    assert "all users" in done.stdout
