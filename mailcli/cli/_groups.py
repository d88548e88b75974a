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
        # The shell, which completes names, resolves only what was typed.
        if not ctx.resilient_parsing and self._names_none(ctx, args):
            args = [self._default, *args]
        return super().parse_args(ctx, args)

    def _names_none(self, ctx: click.Context, args: list[str]) -> bool:
        """Whether only options follow, and not that for the group's help."""
        names = set(self.get_help_option_names(ctx))
        try:
            _, others, given = self.make_parser(ctx).parse_args(list(args))
        except click.UsageError:
            # An option that is not the group's: what follows it may be its value.
            return args[0].startswith("-")
        return not others and all(names.isdisjoint(option.opts) for option in given)
