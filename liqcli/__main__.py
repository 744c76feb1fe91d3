"""`python -m liqcli` is `liq`."""

from liqcli.cli.main import main

main()
