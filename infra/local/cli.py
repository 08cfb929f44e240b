"""The `switchdesk` command line: which commands there are, and how errors reach the user."""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from assets.settings import SwitchdeskError

# Command -> module of `infra.local.commands`, name in it, one line of help. A module is imported only where its
# command is called: Dagster and dbt take seconds, `switchdesk --help` must not.
_COMMANDS = {
    "up": ("stack", "up", "Start the local stack in the background."),
    "down": ("stack", "down", "Stop the local stack and leave nothing running."),
    "status": ("stack", "status", "Show every part and every stream."),
    "env": ("stack", "env", "Print the settings that another shell needs."),
    "doctor": ("stack", "doctor", "Check connections, versions, credentials and permissions."),
    "migrate": ("stack", "migrate", "Create or upgrade schemas, tables and logins."),
    "sync": ("sync", "sync", "Copy the help desk: once, or following it."),
    "dlq": ("dlq", "app", "List, show and replay records that could not be loaded."),
    "build": ("build", "build", "Build analytics, embeddings or the graph."),
    "serve": ("serve", "serve", "Serve the API."),
    "ask": ("ask", "ask", "Ask one question."),
    "route": ("ask", "route", "Say how a question would be answered, without answering it."),
    "keys": ("keys", "app", "Create, list, revoke and rotate API keys."),
    "bench": ("bench", "app", "Measure parts beside their peers."),
    "demo-desk": ("desk", "demo_desk", "Serve a demo help desk over the Zendesk API."),
    "demo": ("demo", "demo", "Show the whole way once."),
}


def main() -> None:
    """Run one command; an error of ours is one sentence and exit 1, bad usage exit 2."""
    arguments = _globals_first(sys.argv[1:])
    try:
        build_app(arguments)(arguments, prog_name="switchdesk")
    except SwitchdeskError as error:
        if "--debug" in arguments:
            raise
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
    except Exception as error:
        if "--debug" in arguments:
            raise
        name = type(error).__name__
        sys.stderr.write(f"unexpected {name}: this is a fault of switchdesk; run again with --debug to see where\n")
        sys.exit(1)


def build_app(arguments: list[str]) -> typer.Typer:
    """The application, with the commands that the arguments call in full and the others by name alone."""
    app = typer.Typer(
        name="switchdesk",
        help="Answers questions about a Zendesk help desk, and runs all it needs on this machine.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    app.callback()(_set_globals)
    for name, (module, attribute, text) in _COMMANDS.items():
        if name not in arguments:
            app.command(name, help=text)(_nothing)
            continue
        command = _load(module, attribute)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, help=text)
        else:
            app.command(name)(command)
    return app


def _set_globals(
    context: typer.Context,
    directory: Annotated[
        Path, typer.Option("--dir", envvar="SWITCHDESK_DIR", help="Folder of the local stack.")
    ] = Path("var"),
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
) -> None:
    del debug  # `main` reads it where errors arrive.
    from infra.local.directory import Directory

    stack = Directory(directory)
    exported = os.environ.get("SWITCHDESK_DIR")
    if exported and Path(exported).resolve() != stack.path:
        # A shell that has another stack's settings exported means this one when it names it.
        for name, value in Directory(Path(exported)).read_env().items():
            if os.environ.get(name) == value:
                del os.environ[name]
    os.environ["SWITCHDESK_DIR"] = str(stack.path)
    context.obj = stack


def _globals_first(arguments: list[str]) -> list[str]:
    """Move `--dir` and `--debug` to the front, so that they may stand on any command."""
    front: list[str] = []
    rest: list[str] = []
    remaining = iter(arguments)
    for argument in remaining:
        if argument == "--":
            return [*front, *rest, argument, *remaining]
        if argument == "--dir":
            front += [argument, *([value] if (value := next(remaining, None)) is not None else [])]
        elif argument == "--debug" or argument.startswith("--dir="):
            front.append(argument)
        else:
            rest.append(argument)
    return front + rest


def _load(module: str, attribute: str) -> Callable[..., Any] | typer.Typer:
    return getattr(importlib.import_module(f"infra.local.commands.{module}"), attribute)


def _nothing() -> None:
    """Stand in the list of commands."""


if __name__ == "__main__":
    main()
