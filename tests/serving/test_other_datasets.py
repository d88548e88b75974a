"""Exported models of datasets with string ids, multi-valued fields and buckets."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mailcli.experiments.cells import train_if_missing
from mailcli.preprocessing.pipeline import PreprocessOptions, preprocess
from tests.helpers.command_line import error_line, mail
from tests.helpers.schema_files import FILES, SCHEMA, make_dataset
from tests.helpers.serving import (
    MISSING,
    Request,
    assert_close,
    assertion_text,
    config_of,
    drawn_as_new,
    run_models,
    score,
)


@pytest.mark.slow
def test_texts_lists_and_no_numbers(tmp_path: Path) -> None:
    """MovieLens-100K: string attributes, lists of genres, items as behaviors, no dense feature."""
    films = 40
    rng = np.random.default_rng(0)
    raw = tmp_path / "raw"
    raw.mkdir()
    users = [
        f"{user}|{20 + user % 40}|{'MF'[user % 2]}|{('writer', 'other')[user % 2]}|{user % 10}0000"
        for user in range(1, 41)
    ]
    (raw / "u.user").write_text("\n".join(users) + "\n", encoding="latin-1")
    flags = rng.integers(0, 2, (films, 19)) * (rng.random((films, 19)) < 0.3)
    flags[np.cumsum(flags, axis=1) > 6] = 0
    titles = [f"{k + 1}|Film {k} ({1980 + k % 9})|||x|{'|'.join(map(str, flags[k]))}" for k in range(films)]
    (raw / "u.item").write_text("\n".join(titles) + "\n", encoding="latin-1")
    ratings = [
        f"{user}\t{film + 1}\t{rng.integers(1, 6)}\t{880000000 + 5000 * k}"
        for user in range(1, 41)
        for k, film in enumerate(rng.permutation(films)[:30])
    ]
    (raw / "u.data").write_text("\n".join(ratings) + "\n", encoding="latin-1")
    dataset = preprocess("ml-100k", raw, tmp_path / "data", "films", PreprocessOptions(history=10))
    run = train_if_missing(config_of(dataset, "base+mail"), dataset, tmp_path / "runs")
    result = mail("export", run.folder, tmp_path / "model", "--data-dir", tmp_path / "data")
    assert result.exit_code == 0, result.output
    test = {name: dataset.column("test", name) for name in ("user", "item", "time")}
    hidden = drawn_as_new(dataset, run.config)
    log = pd.read_csv(raw / "u.data", sep="\t", names=["user", "item", "rating", "time"])
    user, item = dataset.column("users", "raw")[test["user"]], dataset.column("items", "raw")[test["item"]]
    steps = [
        log[(log["user"] == u) & (log["time"] < t) & ~h] for u, t, h in zip(user, test["time"], hidden, strict=True)
    ]
    history = {"item": np.full((len(user), 30), MISSING), "rating": np.full((len(user), 30), "", object)}
    for row, past in enumerate(steps):
        history["item"][row, : len(past)] = past["item"]
        history["rating"][row, : len(past)] = past["rating"].astype(str)
    request = {
        "user": user,
        "user_gender": np.array(["M", "F"], object)[user % 2],
        "user_age": 20 + user % 40,
        "user_occupation": np.array(["writer", "other"], object)[user % 2],
        "user_zip": np.array([str(u % 10) for u in user], object),
        "history_item": history["item"],
        "history_action": history["rating"],
        "context_time": test["time"],
        "item": item[:, None],
    }
    names = ["unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary", "Drama"]
    names += ["Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"]
    genres = np.full((len(item), 1, 6), "", object)
    for row, film in enumerate(item):
        film_genres = [name for name, flag in zip(names, flags[film - 1], strict=True) if flag]
        # They may be anywhere in the list.
        genres[row, 0, 6 - len(film_genres) :] = film_genres[::-1]
    features = {**request, "item_year": (1980 + (item - 1) % 9)[:, None], "item_genres": genres}
    trained = np.load(run.folder / "predictions.npy")[:, None]
    model = tmp_path / "model"
    too_wide = {**features, "item_genres": np.concatenate([genres, genres[:, :, :1]], axis=2)}
    requests = {
        "by id": (model, "serving_default", request),
        "by features": (model, "item_features", features),
        "too wide": (model, "item_features", too_wide),
    }
    answers = run_models(requests, tmp_path)
    assert_close(answers["by id"]["click"], trained)
    assert_close(answers["by features"]["click"], trained)
    assert assertion_text(str(answers["too wide"]["error"])) == (
        f"[input 'item_genres' has the shape] [{len(item)} 1 7] [Expected] [{len(item)} 1 6] "
        "[[U, N, 6]: U is that of 'user', N is that of 'item']"
    )
    impressions = pd.DataFrame({"user": user, "item": item, "time": test["time"]})
    impressions.to_csv(tmp_path / "in.csv", index=False)
    result = score(run, tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert_close(pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()[:, None], trained)


@pytest.mark.slow
def test_attributes_with_several_values_and_in_buckets(tmp_path: Path) -> None:
    """A schema file with a multi-valued attribute, hobbies, and one in buckets, age."""
    rng = np.random.default_rng(0)
    hobbies = ["|".join(rng.permutation(["chess", "go", "golf", "ski"])[: n % 4]) for n in range(30)]
    age = 12 + np.arange(30) % 25
    rows = [f"u{n},Rome,{hobbies[n]},{age[n]},{n}" for n in range(30)]
    log = [
        f"u{n},{100 * k + n},{('view', 'buy')[k % 2]},{('hat', 'shoe')[(k + n) % 2]}"
        for n in range(30)
        for k in range(9)
    ]
    impression_rows = [
        f"u{n},{('x1', 'x2')[(k + n) % 2]},{350 * k + 200},{int(rng.random() < 0.4)},p"
        for n in range(30)
        for k in range(10)
    ]
    files = {
        "users.csv": "\n".join(["id,city,hobbies,age,income", *rows]) + "\n",
        "items.csv": FILES["items.csv"],
        "log-1.csv": "\n".join(["who,at,what,kind", *log]) + "\n",
        "shown.csv": "\n".join(["who,sku,at,clicked,page", *impression_rows]) + "\n",
    }
    dataset = make_dataset(tmp_path, SCHEMA, files)
    run = train_if_missing(config_of(dataset, "base+mail"), dataset, tmp_path / "runs")
    result = mail("export", run.folder, tmp_path / "model", "--with-users", "--data-dir", tmp_path / "data")
    assert result.exit_code == 0, result.output
    description = json.loads((tmp_path / "model" / "signature.json").read_text())
    inputs = description["signatures"]["serving_default"]["inputs"]
    assert inputs["user_hobbies"]["shape"] == ["U", 3]
    assert inputs["user_age"]["shape"] == ["U"]
    user, time = (dataset.column("test", name) for name in ("user", "time"))
    number = np.array([int(name[1:]) for name in dataset.column("users", "raw")[user]])
    hidden = drawn_as_new(dataset, run.config)
    past = [
        [] if h else [e.split(",") for e in log if e.startswith(f"u{n},") and int(e.split(",")[1]) < t]
        for n, t, h in zip(number, time, hidden, strict=True)
    ]
    lists = np.full((len(user), 3), "", object)
    for row, n in enumerate(number):
        values = hobbies[n].split("|")[::-1]
        lists[row, 3 - len(values) :] = values
    request: Request = {
        "user": np.array([f"u{n}" for n in number], object),
        "user_city": np.full(len(user), "Rome", object),
        "user_hobbies": lists,
        "user_age": age[number],
        "user_income": number,
        "history_kind": np.full((len(user), 9), "", object),
        "history_action": np.full((len(user), 9), "", object),
        "context_page": np.full(len(user), "p", object),
        "context_time": time,
        "item": dataset.column("items", "raw")[dataset.column("test", "item")][:, None],
    }
    for row, steps in enumerate(past):
        for step, (_, _, action, kind) in enumerate(steps):
            request["history_kind"][row, step], request["history_action"][row, step] = kind, action
    by_id = {name: value for name, value in request.items() if name == "user" or not name.startswith("user_")}
    trained = np.load(run.folder / "predictions.npy")[:, None]
    assert np.ptp(trained) > 0.001
    model = tmp_path / "model"
    requests = {"attributes": (model, "serving_default", request), "id": (model, "known_users", by_id)}
    answers = run_models(requests, tmp_path)
    assert_close(answers["attributes"]["click"], trained)
    assert_close(answers["id"]["click"], trained)
    impressions = pd.DataFrame({"user": request["user"], "item": request["item"][:, 0], "time": time, "page": "p"})
    impressions = impressions.assign(hour=time // 3600 % 24, weekday=time // 86400 % 7)
    impressions.to_csv(tmp_path / "in.csv", index=False)
    result = score(run, tmp_path / "in.csv", tmp_path / "out.csv", tmp_path / "data")
    assert result.exit_code == 0, result.output
    assert_close(pd.read_csv(tmp_path / "out.csv")["score"].to_numpy()[:, None], trained)
    impressions.iloc[:1].assign(user="stranger").to_csv(tmp_path / "in.csv", index=False)
    assert error_line(score(run, tmp_path / "in.csv", tmp_path / "new.csv", tmp_path / "data")) == (
        f"{tmp_path / 'in.csv'}: row 1: column 'user' holds 'stranger'. Expected a user of the dataset 'mine'. Remove "
        "such rows, because a file cannot hold the values of hobbies."
    )
