"""`python -m poolwright` is the `poolwright` command."""

from poolwright.cli.main import main

if __name__ == "__main__":
    main()
