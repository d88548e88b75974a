"""`mail abtest`: an online A/B test on simulated users."""

from __future__ import annotations

from pathlib import Path

import click

from mailcli.cli._completion import complete_runs
from mailcli.cli._options import DATA_DIR, TABLE_MEMORY, THREADS, data_option
from mailcli.cli._tables import FORMAT, check_form, print_text_tables


@click.command(short_help="A simulated online A/B test of two runs.")
@click.argument("a", metavar="RUN_A", shell_complete=complete_runs)
@click.argument("b", metavar="RUN_B", shell_complete=complete_runs)
@click.option("--users", type=int, required=True, metavar="N", help="Number of users in each arm.")
@click.option(
    "--slate", type=int, default=5, show_default=True, metavar="K", help="Number of items shown to each user."
)
@click.option(
    "--candidates",
    type=int,
    default=100,
    show_default=True,
    metavar="M",
    help="Number of items of the test day to rank, the same for all users.",
)
@click.option(
    "--seed",
    type=int,
    default=0,
    show_default=True,
    help="Random seed: draw of arms and candidates, clicks, conversions.",
)
@data_option("Dataset if neither is a run. [default: the one used or made last]")
@THREADS
@TABLE_MEMORY
@FORMAT
@DATA_DIR
def abtest(a: str, b: str, data: str | None, form: str, data_dir: Path, **numbers: int) -> None:
    """Compare two runs in an online A/B test on simulated users, whose true probabilities are known.

    Each run ranks the same candidates for its own arm of users; clicks and conversions on the shown items are drawn
    from the true probabilities. RUN_A and RUN_B are folders of finished runs, or `oracle` (ranks by the true
    probability) or `random`. The table shows CTR, CTCVR, and B's lift over A with 95% intervals over users.
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
