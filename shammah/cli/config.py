"""`shammah config`: the settings in config.toml."""

from __future__ import annotations

from typing import Annotated

import typer

from shammah.cli import output
from shammah.paths import Paths

app = typer.Typer(help="The settings in config.toml.", no_args_is_help=True)

Key = Annotated[str, typer.Argument(help="See 'shammah config list'.")]


@app.command()
def get(key: Key, as_json: output.Json = False) -> None:
    """Print the value that holds, the environment included."""
    from shammah import config, settings

    value = config.get(Paths.from_environment().config_file, key)
    if as_json:
        output.print_json({key: value})
    else:
        print(settings.text(value))


@app.command("set", context_settings={"ignore_unknown_options": True})  # a negative number
def set_(
    key: Key, value: Annotated[str, typer.Argument(help="The new value, as in TOML.")]
) -> None:
    """Write a value, and say when it takes effect."""
    from shammah import config, settings

    paths = Paths.from_environment()
    paths.create()
    now = settings.text(config.set_value(paths.config_file, key, value))
    if settings.reader(key) == "chat":
        output.say(f"{key} = {now}; the next chat uses it")
    else:
        output.say(f"{key} = {now}; 'shammah daemon restart' makes it take effect")


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List every key with its value and meaning."""
    from shammah import settings
    from shammah.repl.views import Grid

    found = settings.settings(Paths.from_environment().config_file)
    if as_json:
        output.print_json({one.key: one.value for one in found})
        return
    rows = [(one.key, settings.text(one.value), one.description) for one in found]
    output.print_grid(Grid(("key", "value", "meaning"), rows, empty=""))
