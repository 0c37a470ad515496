"""The command line for tokens: `moat-bridge server token add|remove|list`."""

import argparse
import sys
from pathlib import Path as File

from .explain import reason
from .tokens import TokenError, add_token, read_tokens, remove_token


def add_commands(parser: argparse.ArgumentParser) -> None:
    """Add the commands below `token`; a running server takes changes up by itself."""
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, text in (
        ("add", "make a token and show it, this once"),
        ("remove", "take a token back; whoever has come in by it, goes"),
        ("list", "show who has a token"),
    ):
        command = commands.add_parser(name, help=text)
        command.set_defaults(execute=execute, action=name)
        if name != "list":
            command.add_argument("name", metavar="NAME", help="of who has it")
        command.add_argument(
            "--token-file", metavar="FILE", type=File, required=True, help="where they are kept"
        )


def execute(options: argparse.Namespace) -> int:
    """Do it; return the exit code: 0 done, 1 failed, with the reason told."""
    try:
        match options.action:
            case "add":
                said = [add_token(options.token_file, options.name)]
            case "remove":
                remove_token(options.token_file, options.name)
                said = []
            case _:
                said = list(read_tokens(options.token_file))
    except OSError as err:
        sys.stderr.write(f"{reason(err)}\n")
        return 1
    except TokenError as err:
        sys.stderr.write(f"{err}\n")
        return 1
    sys.stdout.write("".join(f"{line}\n" for line in said))
    return 0
