#!/usr/bin/env python
"""Run one of the project's commands: `manage.py help` lists them."""

import contextlib
import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "assistant.settings")
    if sys.argv[1:2] == ["index_repo"]:
        _prepare_parsing(sys.argv[2:])
    from django.core.management import execute_from_command_line

    try:
        execute_from_command_line(sys.argv)
    except ModuleNotFoundError as error:
        if error.name != "numpy":
            raise
        sys.exit("Searching isn't installed here: run index_repo in the indexer's container, ask and search in the answerer's.")


def _prepare_parsing(arguments: list[str]) -> None:
    """Start what parsing begins with beside Django, which takes longer to start."""
    from indexer import parser_process

    for folder in filter(os.path.isdir, arguments):
        with contextlib.suppress(OSError):  # whoever gives it files is told
            parser_process.prepare(folder=folder, when_idle=True)


if __name__ == "__main__":
    main()
