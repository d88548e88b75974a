"""examples/schemas on made-up rows in the published formats: preprocess, describe, a tiny training, and `mail run`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from mailcli.data.dataset import Dataset
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers import rawforms
from tests.helpers.schema_files import (
    EXAMPLES,
    FILES,
    SCHEMA,
    mail_error,
    make_dataset,
    raw_rows,
    raw_values,
    run_mail,
    values_by_user,
    write_files,
)

TINY = ("--set", "epochs=1", "--set", "embedding_dim=4", "--set", "ranker.units=8,4", "--set", "batch_size=64")
MAIL = ("--set", "cold_start.encoder_units=8,8,8", "--set", "cold_start.decoder_units=8,8")

#: What writes made-up files in the form of each example.
FORMS: dict[str, Callable[[Path], None]] = {
    "movielens-1m": rawforms.movielens,
    "kuairand": rawforms.kuairand,
    "ali-ccp": rawforms.ali_ccp,
}


def example(name: str, folder: Path) -> Dataset:
    """The dataset of an example, made by the command from made-up files in `data/raw/NAME`."""
    data = folder / "data"
    FORMS[name](data / "raw" / name)
    output = run_mail("preprocess", name, "--schema", EXAMPLES / f"{name}.toml", "--data-dir", data)
    assert f"{name} (real data): source tabular" in output
    assert run_mail("describe", name, "--data-dir", data) == output
    return Dataset(data / name)


@pytest.fixture(scope="module")
def movielens(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    return example("movielens-1m", tmp_path_factory.mktemp("ml"))


def test_movielens_1m(movielens: Dataset) -> None:
    assert movielens.schema.actions == ("1", "2", "3", "4", "5")
    assert movielens.column("users", "raw").dtype.kind == "i"
    # 12 ratings of each of 30 users: the last two are the test split, the one before them validation.
    assert [movielens.counts[split] for split in ("train", "validation", "test")] == [270, 30, 60]
    users = {row.split("::")[0]: row.split("::") for row in lines(movielens, "users.dat")}
    for name, place in (("gender", 1), ("age", 2), ("occupation", 3)):
        assert values_by_user(movielens, name) == {int(user): row[place] for user, row in users.items()}
    assert values_by_user(movielens, "zip") == {int(user): row[4][0] for user, row in users.items()}
    films = {row.split("::")[0]: row.split("::") for row in lines(movielens, "movies.dat")}
    genres = dict(zip(movielens.column("items", "raw").tolist(), raw_values(movielens, "items", "genres"), strict=True))
    assert genres == {int(film): sorted(row[2].split("|")) for film, row in films.items()}
    years = dict(zip(movielens.column("items", "raw").tolist(), raw_values(movielens, "items", "year"), strict=True))
    assert years == {film: str(1970 + film) for film in range(1, 21)}


def lines(dataset: Dataset, name: str) -> list[str]:
    path = dataset.folder.parent / "raw" / dataset.name / name
    return path.read_text(encoding="latin-1").splitlines()


@pytest.mark.slow
def test_movielens_1m_trains(movielens: Dataset, tmp_path: Path) -> None:
    data = movielens.folder.parent
    output = run_mail(
        "train", "--data-dir", data, "--runs", tmp_path, "--ranker", "emblr", "--cold-start", "mail", *TINY[:4], *MAIL
    )
    assert "emblr+mail" in output
    assert "data movielens-1m (real data)" in output


def test_kuairand(tmp_path: Path) -> None:
    dataset = example("kuairand", tmp_path)
    # Four days of 36 impressions: the last is the test split, the one before it validation.
    assert [dataset.counts[split] for split in ("train", "validation", "test")] == [72, 36, 36]
    # `UNKNOWN` is a missing value.
    assert values_by_user(dataset, "active_degree")[0] is None
    # User u has 10^(u mod 6) fans; the lower bounds are 1, 10, 100, 1,000 and 10,000.
    assert values_by_user(dataset, "fans") == {user: [1, 2, 3, 4, 5, 5][user % 6] for user in range(12)}
    # Days 100, 200, ..., 1200 of twelve users: eighths begin at the 2nd, 3rd, 5th, 6th, 8th, 9th and 11th value.
    edges = [200, 300, 500, 600, 800, 900, 1100]
    assert dataset.manifest["mapping"]["edges"] == {"registered": edges}
    tags = dict(zip(dataset.column("items", "raw").tolist(), raw_values(dataset, "items", "tag"), strict=True))
    assert tags == {video: [[None], ["12"], ["12", "65"]][video % 3] for video in range(8)}
    # Videos are shown at 01:00, 08:00 and 15:00 in China.
    assert dataset.column("vocabularies", "hour").tolist() == [1, 8, 15]
    # Half of the impressions are clicked. Clicks that no later impression of their user sees are not stored.
    assert dataset.counts["behaviors"] == 66


def test_ali_ccp(tmp_path: Path) -> None:
    dataset = example("ali-ccp", tmp_path)
    assert dataset.schema.labels == ("click", "conversion")
    assert dataset.counts["train"] + dataset.counts["validation"] == 120
    assert dataset.counts["test"] == 40
    assert values_by_user(dataset, "profile") == {f"10{user}": str(user % 5) for user in range(10)}
    assert values_by_user(dataset, "gender") == {f"10{user}": str(user % 2) for user in range(10)}
    # User u has u mod 4 categories, counted once and not once per impression.
    assert dataset.counts["behaviors"] == sum(user % 4 for user in range(10))
    lengths = dict(
        zip(dataset.column("users", "raw").tolist(), (dataset.offsets[1:] - dataset.offsets[:-1]).tolist(), strict=True)
    )
    assert lengths == {f"10{user}": user % 4 for user in range(10)}
    user = dataset.column("users", "raw").tolist().index("103")
    kinds = raw_values(dataset, "behaviors", "category")[dataset.offsets[user] : dataset.offsets[user + 1]]
    assert kinds == ["303", "300", "301"]
    assert raw_values(dataset, "items", "intentions") == [["901", "902"]] * 6


@pytest.mark.slow
def test_kuairand_trains(tmp_path: Path) -> None:
    example("kuairand", tmp_path)
    output = run_mail(
        "train", "--data-dir", tmp_path / "data", "--runs", tmp_path, "--cold-start", "mail", *TINY, *MAIL
    )
    assert "MAIL-Base" in output


@pytest.mark.slow
def test_ali_ccp_trains_on_clicks_and_conversions(tmp_path: Path) -> None:
    example("ali-ccp", tmp_path)
    output = run_mail(
        "train",
        "--data-dir",
        tmp_path / "data",
        "--runs",
        tmp_path,
        "--ranker",
        "esmm",
        "--cold-start",
        "mail",
        *TINY,
        *MAIL,
    )
    assert "CTCVR" in output


def test_a_log_without_attributes_is_refused(tmp_path: Path) -> None:
    log = "user_id,item_id,timestamp,clicked\n1,2,100,1\n"
    write_files(tmp_path / "raw", {"log.csv": log})
    path = EXAMPLES / "no-attributes.toml"
    assert mail_error(
        "preprocess", "log", "--schema", path, "--raw", tmp_path / "raw", "--data-dir", tmp_path / "data"
    ) == (
        f"{path}: users.attributes: there is no user attribute except the id. Expected at least one, such as age, "
        "gender or city: MAIL generates a new user's behavior from the attributes and cannot work without them."
    )
    assert not (tmp_path / "data").exists()


EXPERIMENT = """
title = "MAIL Table 2 on MovieLens-1M"
source = "schema"
schema = "{schema}"
seeds = 1
rows = {rows}
[settings]
epochs = 1
embedding_dim = 4
batch_size = 64
history = 20
"""


@pytest.mark.slow
def test_one_toml_file_makes_dataset_and_table_2(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """GroupLens' three files in data/raw/movielens-1m, and nothing but TOML: the dataset and the paper's Table 2."""
    monkeypatch.chdir(EXAMPLES.parent.parent)
    rawforms.movielens(tmp_path / "data" / "raw" / "movielens-1m", users=60, films=40, ratings_per_user=20)
    command = ("run", "experiments/table2-ml-1m.toml", "--seeds", 1, "--jobs", 1)
    folders = ("--data-dir", tmp_path / "data", "--runs", tmp_path / "runs")
    output = run_mail(*command, *folders)
    assert "MAIL Table 2 on MovieLens-1M" in output
    assert "data movielens-1m (real data)" in output
    for name in ("trivial: item-grade-bias", "EmbLR", "LLAE", "BaseDNN", "MetaEmb", "MAIL-Base", "DMR", "MAIL-DMR"):
        assert f"\n{name} " in output
    # The runs and the dataset are reused.
    assert run_mail(*command, *folders) == output


def test_the_docs_have_the_example() -> None:
    text = (EXAMPLES.parent.parent / "docs" / "your-own-data.md").read_text(encoding="utf-8")
    block = text.split("```toml\n")[1].split("```")[0]
    example = (EXAMPLES / "movielens-1m.toml").read_text(encoding="utf-8")
    assert tomllib.loads(block) == tomllib.loads(example)


def test_an_experiment_makes_its_dataset_by_a_schema_file(
    movielens: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mailcli.experiments.datasets import prepare_dataset
    from mailcli.experiments.experiment_file import read_experiment

    rawforms.movielens(tmp_path / "data" / "raw" / "mine")
    schema = tmp_path / "mine.toml"
    text = (EXAMPLES / "movielens-1m.toml").read_text()
    schema.write_text(text)
    path = tmp_path / "experiment.toml"
    path.write_text(EXPERIMENT.format(schema="mine.toml", rows='["BaseDNN"]'))
    monkeypatch.chdir(tmp_path)
    dataset = prepare_dataset(read_experiment(path), tmp_path / "data")
    assert dataset.name == "mine"
    assert dataset.counts == movielens.counts
    assert prepare_dataset(read_experiment(path), tmp_path / "data").manifest == dataset.manifest
    schema.write_text(text + "# another\n")
    assert mail_error("run", path, "--data-dir", tmp_path / "data") == (
        f"{dataset.folder}: is not the dataset that {path} asks for: it was made with another version of "
        "mine.toml. Delete it, or give the schema file another name."
    )


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ('source = "schema"', "source = 'schema': expected both source = 'schema' and schema = FILE, or neither"),
        ('source = "alimama"\nschema = "x.toml"', "source = 'alimama': expected both source = 'schema' and schema = FILE, "
         "or neither"),
    ],
)  # fmt: skip
def test_an_experiment_says_both_or_neither(tmp_path: Path, source: str, expected: str) -> None:
    path = tmp_path / "experiment.toml"
    path.write_text(f'title = "T"\n{source}\nrows = ["BaseDNN"]\n')
    assert mail_error("run", path, "--data-dir", tmp_path / "data") == f"{path}: {expected}."


def test_the_command_says_what_goes_with_what(tmp_path: Path) -> None:
    schema = tmp_path / "my.toml"
    schema.write_text(SCHEMA)
    raw = write_files(tmp_path / "raw", FILES)
    data = ("--raw", raw, "--data-dir", tmp_path / "data")
    assert mail_error("preprocess", "mine", "--schema", schema, "--name", "yours", *data) == (
        "--name yours: with --schema the argument 'mine' is the dataset's name. Leave out --name."
    )
    assert mail_error("preprocess", "tabular", *data) == (
        "the source 'tabular' needs a schema file: mail preprocess NAME --schema FILE"
    )
    assert mail_error("preprocess", "mine", "--schema", tmp_path / "no.toml", *data) == (
        f"{tmp_path}/no.toml: there is no such file. Expected a TOML file."
    )
    assert mail_error("preprocess", "mine", "--schema", schema, "--expect-official", *data) == (
        "--expect-official: the published files of 'tabular' are not known. Leave it out."
    )
    assert mail_error("preprocess", "Mine!", "--schema", schema, *data) == (
        "'Mine!' cannot name a dataset. Expected lower-case letters, digits, '.', '_' and '-' (not 'raw')."
    )
    assert mail_error("preprocess", "", "--schema", schema, *data) == (
        "'' cannot name a dataset. Expected lower-case letters, digits, '.', '_' and '-' (not 'raw')."
    )
    assert not (tmp_path / "data" / "mine").exists()
    assert not (tmp_path / "data" / "tabular").exists()


def test_other_engines_are_refused_with_one_line(tmp_path: Path) -> None:
    pytest.importorskip("pyspark")
    schema = tmp_path / "my.toml"
    schema.write_text(SCHEMA)
    raw = write_files(tmp_path / "raw", FILES)
    assert (
        mail_error(
            "preprocess", "mine", "--schema", schema, "--engine", "spark", "--raw", raw, "--data-dir", tmp_path / "data"
        )
        == "--engine spark: files with a schema file are read only by DuckDB. Leave out --engine."
    )
    assert not (tmp_path / "data").exists()


def test_an_interrupted_run_goes_on_unless_the_schema_file_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raw, schema = write_files(tmp_path / "raw", FILES), tmp_path / "my.toml"

    def run() -> Dataset:
        return preprocess("tabular", raw, tmp_path / "data", "mine", PreprocessOptions(history=10, schema=schema))

    schema.write_text(SCHEMA)
    with monkeypatch.context() as patch:
        patch.setattr(
            "mailcli.preprocessing.pipeline.Transform.run", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
        )
        for _ in range(2):
            with pytest.raises(KeyboardInterrupt):
                run()
    message = "Resuming the interrupted preprocessing: impressions, users, items, keys, behaviors, shown already done."
    assert message in capsys.readouterr().err
    schema.write_text(SCHEMA + "# another\n")
    assert run().counts["behaviors"] == 5
    assert "Starting over: the schema file changed since the interrupted run." in capsys.readouterr().err


def test_a_sample_of_users_is_part_of_all(tmp_path: Path) -> None:
    rows = "".join(f"u{user},x1,{start + user},{user % 2},p\n" for user in range(200) for start in (100, 2000, 3000))
    log = "who,at,what,kind\n" + "".join(f"u{user},50,view,hat\n" for user in range(200))
    files = {**FILES, "shown.csv": f"who,sku,at,clicked,page\n{rows}", "log-1.csv": log}
    users = "".join(f"u{user},Rome,,1,1\n" for user in range(200))
    files["users.csv"] = f"id,city,hobbies,age,income\n{users}"
    sampled = set(make_dataset(tmp_path, SCHEMA, files, sample=0.25).column("users", "raw").tolist())
    # 50 are expected, with a standard deviation of 6.1.
    assert 25 < len(sampled) < 75
    assert sampled < {row["user"] for row in raw_rows(tmp_path / "all", SCHEMA, files, "users")}
