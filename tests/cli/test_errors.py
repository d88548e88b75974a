"""Mistakes on the command line end in one line that says what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers.command_line import error_line, mail


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["preprocess", "alibaba"],
            "unknown data source 'alibaba'. Did you mean 'alimama'? Known: 'alimama', 'kuairand-pure', 'ml-100k'. Files of "
            "your own need --schema FILE.",
        ),
        (["preprocess", "alimama", "--history", "0"], "--history is 0. Expected 1 to 100000."),
        (["preprocess", "alimama", "--threads", "100000"], "--threads is 100000. Expected 1 to 1024."),
        (["train", "--data", ""], "--data is empty. Expected the name of a dataset."),
        (["train", "--runs", ""], "Invalid value for '--runs': the path is empty. Try 'mail train --help'."),
        (["run", "any.toml", "--data", ""], "--data is empty. Expected the name of a dataset."),
        (["tune", "any.toml", "--data", ""], "--data is empty. Expected the name of a dataset."),
        (["report", "any.toml", "--data", ""], "--data is empty. Expected the name of a dataset."),
        (["abtest", "random", "oracle", "--data", ""], "--data is empty. Expected the name of a dataset."),
        (
            ["train", "--checkpoint-every", "nan"],
            "Invalid value for '--checkpoint-every': nan is not a number of minutes. Try 'mail train --help'.",
        ),
        (["preprocess", "alimama", "--threads", "0"], "--threads is 0. Expected 1 to 1024."),
        (
            ["preprocess", "alimama", "--memory-limit", "lots"],
            "--memory-limit is 'lots'. Expected a size such as 2GB or 500MB.",
        ),
        (
            ["preprocess", "alimama", "--memory-limit", "0GB"],
            "--memory-limit is '0GB'. Expected a size such as 2GB or 500MB.",
        ),
        (
            ["preprocess", "alimama", "--sample", "0"],
            "--sample is 0. Expected a share of the users, above 0 and up to 1 or 100%.",
        ),
        (
            ["preprocess", "alimama", "--sample", "200%"],
            "--sample is 2. Expected a share of the users, above 0 and up to 1 or 100%.",
        ),
        (
            ["preprocess", "alimama", "--sample", "few"],
            "Invalid value for '--sample': 'few' is not a share such as 0.001 or 0.1%. Try 'mail preprocess --help'.",
        ),
        (
            ["train", "--table-memory", "5"],
            "--table-memory is '5'. Expected a size such as 2GB or 500MB.",
        ),
        (
            ["preprocess", "alimama", "--max-bad-rows", "-1%"],
            "--max-bad-rows is -0.01. Expected a share of the rows, 0 to 1 or 100%.",
        ),
        (
            ["preprocess", "alimama", "--engine", "sparc"],
            "unknown engine 'sparc'. Did you mean 'spark'? Known: 'duckdb', 'spark'.",
        ),
        (["preprocess", "alimama", "--temp-dir", "no"], "--temp-dir no: is not a folder. Create it first."),
        (
            ["preprocess", "alimama", "--name", "../up"],
            "'../up' cannot name a dataset. Expected lower-case letters, digits, '.', '_' and '-' (not 'raw').",
        ),
        (
            ["simulate", "alibaba", "--users", "20", "--out", "x"],
            "unknown source 'alibaba'. Did you mean 'alimama'? Known: 'alimama'.",
        ),
        (["simulate", "alimama", "--users", "2", "--out", "x"], "--users is 2. Expected 10 to 10,000,000,000."),
        (["describe", ""], "DATASET is empty. Expected the name of a dataset."),
        (["describe", "tny"], "unknown dataset 'tny'. Did you mean 'tiny'? data holds: 'tiny'."),
        (
            ["compare", "--rows", "MAIL-Bas"],
            "unknown row 'MAIL-Bas'. Did you mean 'MAIL-Base'? Known: 'EmbLR', 'LLAE', 'BaseDNN', 'MetaEmb', 'MAIL-Base', "
            "'DMR', 'MAIL-DMR', 'MAIL-None', 'MAIL-Single', 'MAIL-Dual', a trivial row (`mail models`), or ranker+method, e.g. 'din+cvae'.",
        ),
        (
            ["compare", "--rows", "din+cve"],
            "unknown cold-start method 'cve'. Did you mean 'cvae'? Known: 'conse', 'cvae', 'cvar', 'dropout', 'eszsl', 'llae', 'mail', 'mail-pooled', 'mail-softmax', 'masked', 'match', 'metaemb', 'neighbors', 'none', 'pfd', 'poso', 'prior'.",
        ),
        (["compare", "--seeds", "0"], "--seeds is 0. Expected a number from 1 to 1,000."),
        (
            ["train", "--cold-start", "mail", "--set", "cold_start.bogus=1"],
            "cold-start method 'mail' has no option 'bogus'. Known: 'variant', 'reduction', 'attention_units', 'encoder_units', 'decoder_units', 'dropout', 'bandwidth', 'sigma', 'steps', 'padding', 'click_gradient', 'update_every'.",
        ),
        (
            ["train", "--set", "ranker.unit=8"],
            "ranker 'base' has no option 'unit'. Did you mean 'units'? Known: 'units', 'dropout', 'product'.",
        ),
        (["train", "--data", "tyni"], "unknown dataset 'tyni'. Did you mean 'tiny'? data holds: 'tiny'."),
        (
            ["train", "--ranker", "bass"],
            "unknown ranker 'bass'. Did you mean 'base'? Known: 'base', 'dcnv2', 'deepfm', 'din', 'dmr', 'emblr', 'esmm', 'widedeep'.",
        ),
        (
            ["train", "--cold-start", "male"],
            "unknown cold-start method 'male'. Did you mean 'mail'? Known: 'conse', 'cvae', 'cvar', 'dropout', 'eszsl', 'llae', 'mail', 'mail-pooled', 'mail-softmax', 'masked', 'match', 'metaemb', 'neighbors', 'none', 'pfd', 'poso', 'prior'.",
        ),
        (
            ["train", "--cold-start", "mail", "--variant", "duel"],
            "unknown variant 'duel'. Did you mean 'dual'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (["train", "--variant", "dual"], "--variant requires --cold-start mail; the method is 'none'."),
        (
            ["train", "--protocol", "strct"],
            "protocol = 'strct': expected one of 'paper', 'strict'. Did you mean 'strict'?",
        ),
        (["train", "--set", "epoch=3"], "unknown setting 'epoch'. Did you mean 'epochs'?"),
        (["train", "--set", "epochs"], "--set epochs: expected KEY=VALUE."),
        (
            ["train", "--ranker", "din", "--set", "ranker=dmr"],
            "--ranker din and --set ranker=dmr contradict each other. Leave one of them out.",
        ),
        (
            ["train", "--seed", "3", "--set", "seed=5"],
            "--seed 3 and --set seed=5 contradict each other. Leave one of them out.",
        ),
        (
            ["compare", "--rows", "item-rate", "--set", "ranker=dmr"],
            "--set ranker=dmr: the rows of a table name it. Leave it out.",
        ),
        (
            ["compare", "--rows", "item-rate", "--set", "seed=7"],
            "seed = 7: the seeds of a table start at 0; set their number with --seeds.",
        ),
        (
            ["train", "--set", "ranker.unit=3"],
            "ranker 'base' has no option 'unit'. Did you mean 'units'? Known: 'units', 'dropout', 'product'.",
        ),
        (
            ["train", "--set", "history=500"],
            "history = 500: the dataset 'tiny' keeps the last 20 behaviors. Expected 20 or less; more needs `mail preprocess --history 500`.",
        ),
        (
            ["train", "--config", "no.toml"],
            "no.toml: there is no such file. Expected a TOML file.",
        ),
        (
            ["ablate", "--variants", "none,sngle"],
            "unknown variant 'sngle'. Did you mean 'single'? Known: 'none', 'single', 'dual', 'base'.",
        ),
        (["ablate", "--seeds", "0"], "--seeds is 0. Expected a number from 1 to 1,000."),
        (["ablate", "--set", "ranker=dmr"], "--set ranker=dmr: use --ranker dmr."),
        (
            ["compare", "--set", "ranker=dmr"],
            "--set ranker=dmr: the rows of a table name it. Leave it out.",
        ),
        *(
            (
                ["audit", "runs", "--bootstrap", draws],
                f"--bootstrap is {draws}. Expected 80 to 100000 draws: whether v̂ is personal is read off their intervals.",
            )
            for draws in ("0", "79")
        ),
        (["evaluate"], "runs: holds no finished run. Make one with `mail train`."),
        (["evaluate", "--bootstrap", "-1"], "--bootstrap is -1. Expected 0 (no intervals), or 40 to 100000 draws."),
        (["evaluate", "--bootstrap", "39"], "--bootstrap is 39. Expected 0 (no intervals), or 40 to 100000 draws."),
        (
            ["evaluate", "--bootstrap", "100001"],
            "--bootstrap is 100001. Expected 0 (no intervals), or 40 to 100000 draws.",
        ),
        *(
            ([*command, folder], message)
            for command in (["evaluate"], ["report"], ["plot", "loss"], ["audit"])
            for folder, message in (
                ("data", "data: holds no finished run. Make one with `mail train`."),
                ("dat", "dat: there is no such folder. Did you mean 'data'? Expected one made by `mail train`."),
            )
        ),
    ],
)
def test_mistakes_on_the_command_line(with_data: Path, arguments: list[str], message: str) -> None:
    before = sorted(with_data.rglob("*"))
    assert error_line(mail(*arguments)) == message
    left = {p for p in sorted(with_data.rglob("*")) if p.is_file()} - set(before)
    assert {p.name for p in left} <= {"config.toml"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "No such command 'trian'. Did you mean 'train'? Try 'mail --help'."),
        (
            ["--verson"],
            "No such option '--verson'. (Did you mean one of: '--verbose', '--version'?). Try 'mail --help'.",
        ),
        (["schema", "int"], "No such command 'int'. Did you mean 'init'? Try 'mail schema --help'."),
        (
            ["train", "--rankr", "base"],
            "No such option '--rankr'. (Did you mean one of: '--ranker', '--variant', '--workers'?). "
            "Try 'mail train --help'.",
        ),
        (["train", "--seed"], "Option '--seed' requires an argument. Try 'mail train --help'."),
        (["describe", "a", "b"], "Got unexpected extra argument (b). Try 'mail describe --help'."),
        (
            ["simulate", "alimama", "--users", "many", "--out", "x"],
            "Invalid value for '--users': 'many' is not a valid integer. Try 'mail simulate --help'.",
        ),
        (
            ["evaluate", "--bootstrap", "many"],
            "Invalid value for '--bootstrap': 'many' is not a valid integer. Try 'mail evaluate --help'.",
        ),
        # Even where nothing is missing, and so none would begin.
        *(
            (
                [*command.split(), "--jobs", "0"],
                f"Invalid value for '--jobs': 0 is not in the range x>=1. Try 'mail {command.split()[0]} --help'.",
            )
            for command in ("run x.toml", "compare", "ablate", "tune x.toml")
        ),
        (["simulate", "alimama", "--out", "x"], "Missing option '--users'. Try 'mail simulate --help'."),
        (["preprocess"], "Missing argument 'SOURCE'. Try 'mail preprocess --help'."),
    ],
)
def test_usage_errors_are_one_line(home: Path, arguments: list[str], message: str) -> None:
    done = mail(*arguments)
    assert error_line(done) == message
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_a_current_folder_that_was_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    for command in ("models", "runs"):
        assert error_line(mail(command)) == (
            "the current folder cannot be read (No such file or directory). Change to one that exists, e.g. with `cd`, "
            "and run the same command again."
        )
