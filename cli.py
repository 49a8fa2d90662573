"""The `sercache` command from a checkout: ``python cli.py --help``. Installed, it is sercache.cli."""

from sercache.cli import main

if __name__ == "__main__":
    main()
