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
    from shammah import config

    value = config.get(Paths.from_environment().config_file, key)
    if as_json:
        output.print_json({key: value})
    else:
        print(_text(value))


@app.command("set", context_settings={"ignore_unknown_options": True})  # a negative number
def set_(
    key: Key, value: Annotated[str, typer.Argument(help="The new value, as in TOML.")]
) -> None:
    """Write a value; the daemon takes it up when it starts again."""
    from shammah import config

    paths = Paths.from_environment()
    paths.create()
    now = config.set_value(paths.config_file, key, value)
    output.say(f"{key} = {_text(now)}; 'shammah daemon restart' makes it take effect")


@app.command("list")
def list_(as_json: output.Json = False) -> None:
    """List every key with its value and meaning."""
    from shammah import config
    from shammah.repl.views import Grid

    settings = config.load(Paths.from_environment().config_file).model_dump()
    values = {
        f"{section}.{name}": value
        for section, content in settings.items()
        for name, value in content.items()
    }
    if as_json:
        output.print_json(values)
        return
    rows = [(key, _text(values[key]), meaning) for key, meaning in config.keys().items()]
    output.print_grid(Grid(("key", "value", "meaning"), rows, empty=""))


def _text(value: object) -> str:
    """The value as it is written after `config set`."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)
