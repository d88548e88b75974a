"""`python -m mailcli`: the command line, on machines where `mail` is the mail client."""

from mailcli.cli import main

main(prog_name="mailcli")
