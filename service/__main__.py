"""The process of the command line. Ctrl-C ends it without a traceback, also while the rest is still being imported."""

import sys


def main() -> None:
    """Run the command line."""
    try:
        from service import cli  # noqa: PLC0415 - this takes a second, in which one can press Ctrl-C

        cli.main()
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
