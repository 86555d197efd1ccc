"""``python -m featbench``: the command line."""

from featbench.cli import main

if __name__ == "__main__":
    main()
