"""`shammah daemon` and `shammah status`: the process behind everything."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Annotated, Any

import typer

from shammah.cli import output
from shammah.cli.connection import running
from shammah.paths import Paths

app = typer.Typer(help="The process behind everything.", no_args_is_help=True)


@app.command()
def run() -> None:
    """Be the daemon, in the foreground."""
    from shammah.launch import COMMAND

    os.execv(COMMAND[0], COMMAND)


@app.command()
def start() -> None:
    """Start the daemon in the background."""
    from shammah import launch

    launch.start(Paths.from_environment(), output.say)


@app.command()
def stop() -> None:
    """Stop the daemon; a running job goes on when it starts again."""
    from shammah import launch

    launch.stop(Paths.from_environment(), output.say)


@app.command()
def restart() -> None:
    """Stop the daemon if it runs, and start it."""
    from shammah import launch

    launch.restart(Paths.from_environment(), output.say)


@app.command()
def install(
    show: Annotated[
        bool, typer.Option("--print", help="Print the service file, and install nothing.")
    ] = False,
    now: Annotated[bool, typer.Option("--now/--no-start", help="Start it at once.")] = True,
) -> None:
    """Keep the daemon running, as a service of the system.

    That is a systemd user unit, or a launchd agent on macOS.
    """
    from shammah import installing
    from shammah.service import keeper
    from shammah.service.installation import Installation

    paths, system = Paths.from_environment(), keeper.of_platform()
    if show:
        print(system.text(Installation.present(paths)), end="")
    else:
        installing.install(paths, system, output.say, now=now)


@app.command()
def uninstall() -> None:
    """Stop the service and remove it.

    The daemon starts by itself when it is needed.
    """
    from shammah import installing
    from shammah.service import keeper

    installing.uninstall(keeper.of_platform(), output.say)


@app.command("status")
def daemon_status(as_json: output.Json = False) -> None:
    """Show whether the daemon runs, and whether as a service."""
    from shammah import launch

    paths = Paths.from_environment()
    health = launch.health_of(paths)
    if as_json:
        daemon = health.model_dump(mode="json") if health else None
        output.print_json({"daemon": daemon, "service": _service(paths)})
    else:
        print(f"daemon: running (pid {health.pid})" if health else "daemon: not running")
        print(_service_line(paths))


@app.command()
def token() -> None:
    """Print the token that other programs need on the TCP port.

    The URL goes to standard error.
    """
    from shammah import config
    from shammah import token as tokens

    paths = Paths.from_environment()
    paths.create()
    settings = config.load(paths.config_file).daemon
    if settings.port:
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        output.say(f"base URL: http://{host}:{settings.port}/v1")
    else:
        output.say(
            "there is no TCP port yet: 'shammah config set daemon.port 8741', then "
            "'shammah daemon restart'"
        )
    print(tokens.ensure(paths.token))


def status(as_json: output.Json = False) -> None:
    """Show the daemon, the model, and how far the next lesson is."""
    with running() as client:
        now = client.status()
    if as_json:
        output.print_json(now)
    else:
        from shammah.repl import views

        print(views.status(now))
        print(_service_line(Paths.from_environment()))


def _service(paths: Paths) -> dict[str, Any]:
    from shammah.service import keeper

    system = keeper.of_platform()
    state = keeper.state_for(system, paths.data_dir)
    return {"manager": system.name, **asdict(state), "file": str(state.file)}


def _service_line(paths: Paths) -> str:
    from shammah.service import keeper

    state = keeper.state_for(keeper.of_platform(), paths.data_dir)
    return f"service: {keeper.in_words(state)}"
