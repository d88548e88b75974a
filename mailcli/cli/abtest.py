"""An online A/B test on simulated users."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._options import DATA_DIR, FORMAT, THREADS, check_form, print_text_tables


@click.command(short_help="A simulated online A/B test of two runs.")
@click.argument("a", metavar="RUN_A")
@click.argument("b", metavar="RUN_B")
@click.option("--users", type=int, required=True, metavar="N", help="Users in each of the two arms.")
@click.option("--slate", type=int, default=5, show_default=True, metavar="K", help="Items that each user is shown.")
@click.option(
    "--candidates",
    type=int,
    default=100,
    show_default=True,
    metavar="M",
    help="Items of the test day that each page is ranked from, the same for all users.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Decides the arms, the candidates, and what is clicked and bought.",
)
@click.option("--data", metavar="NAME", help="Dataset, where neither is a run; the only one there is by default.")
@THREADS
@FORMAT
@DATA_DIR
def abtest(a: str, b: str, data: str | None, form: str, data_dir: Path, **numbers: int) -> None:
    """Compare two runs in an online A/B test on simulated users, whose true probabilities are known.

    Each run ranks the same candidates for its own arm of users; clicks and conversions of what is shown are drawn with
    the true probabilities. RUN_A and RUN_B are folders of finished runs, or `oracle` (ranks by the true probability) or
    `random`. Shown are CTR and CTCVR, and B's lift over A with 95% intervals over users.
    """
    check_form(form)
    from mailcli.experiments.ab_test.policies import common_dataset, parse_contender
    from mailcli.experiments.ab_test.run import Setup, run_ab_test
    from mailcli.experiments.ab_test.table import ab_test_table
    from mailcli.utils.tensorflow_startup import load_tensorflow

    arms = (parse_contender(a), parse_contender(b))
    dataset = common_dataset([*arms], data_dir, data)
    if any(arm.run for arm in arms):
        load_tensorflow()
    setup = Setup(**numbers)
    print_text_tables(ab_test_table(setup, dataset, arms, run_ab_test(setup, dataset, arms)), form)
