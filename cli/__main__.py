"""`python -m cli VERB`."""

from cli.main import main

main()
