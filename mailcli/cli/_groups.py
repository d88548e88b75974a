"""A group of commands, one of which runs where none is named."""

from __future__ import annotations

from typing import Any

import click


class GroupWithDefault(click.Group):
    """`mail runs --format json` is `mail runs list --format json`; `mail runs --help` is the group's own help."""

    def __init__(self, *args: Any, default: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._default = default

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command where the arguments name none, and only options follow."""
        names_one = not set(args).isdisjoint([*self.commands, *self.get_help_option_names(ctx)])
        starts_with_option = not args or args[0].startswith("-")
        # The shell, which completes names, resolves only what was typed.
        if starts_with_option and not names_one and not ctx.resilient_parsing:
            args = [self._default, *args]
        return super().parse_args(ctx, args)
