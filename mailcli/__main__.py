"""The program `mail`, also as `python -m mailcli`, on machines where `mail` is the mail client."""

import sys


def run(name: str | None = None) -> None:
    """Run the command line; Ctrl-C while it is still being imported ends in one line, too.

    Args:
        name: of the program; None for that of the script.
    """
    try:
        from mailcli.cli import main
    except KeyboardInterrupt:
        # 128 + SIGINT, the shells' convention.
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    main(prog_name=name)


if __name__ == "__main__":
    run("mailcli")
