"""The composition root of the daemon: builds every object and passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
import time
from collections.abc import Iterator

import uvicorn

from shammah import config as settings
from shammah.bases.registry import Registry
from shammah.config import Config
from shammah.errors import ShammahError
from shammah.paths import Paths
from shammah.store.database import Store
from shammah_daemon import app, logs
from shammah_daemon.aftercare import Aftercare
from shammah_daemon.anticipation import Anticipation
from shammah_daemon.bases import Bases
from shammah_daemon.chat import Chat
from shammah_daemon.comparing import Comparing
from shammah_daemon.corrections import Corrections
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.forgetting import Forgetting
from shammah_daemon.guest import Guest
from shammah_daemon.hub import Hub
from shammah_daemon.inbox import Inbox
from shammah_daemon.joblog import JobLog
from shammah_daemon.judging import Judging
from shammah_daemon.learning import Learning
from shammah_daemon.lifecycle import listening, only_daemon
from shammah_daemon.metrics import Metrics
from shammah_daemon.models import Models
from shammah_daemon.naming import Naming
from shammah_daemon.pipeline import Pipeline
from shammah_daemon.services import Services
from shammah_daemon.serving import Serving
from shammah_daemon.stages import Stages
from shammah_daemon.supervisor import Supervisor
from shammah_daemon.text import Text
from shammah_daemon.unlearned import Unlearned

#: How long running answers may take to finish when the daemon is told to stop.
GRACE_SECONDS = 10


def main() -> None:
    """Run until SIGTERM or SIGINT; exit 2 when another daemon runs or the settings are wrong."""
    try:
        run(Paths.from_environment())
    except ShammahError as error:
        print(f"error: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"hint: {error.hint}", file=sys.stderr)
        sys.exit(error.exit_code)


class Server(uvicorn.Server):
    """uvicorn, ending by return: its own way is to end by the signal, before we have cleaned up."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(paths: Paths) -> None:
    """Serve on the home's socket until told to stop."""
    paths.create()
    config = settings.load(paths.config_file)
    with only_daemon(paths), listening(paths) as listener:
        logs.configure(paths.log_file, config.daemon.log_level)
        store = Store.open(paths.database)
        server = Server(
            uvicorn.Config(
                app.create(lambda: build(paths, config, store)),
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_SECONDS,
                lifespan="on",
            )
        )
        asyncio.run(server.serve(sockets=[listener]))
        if not server.started:
            raise ShammahError("the daemon could not start", hint=f"see {paths.log_file}")


def build(paths: Paths, config: Config, store: Store) -> Services:
    """Every service, wired. Called inside the event loop."""
    database = Database(store)
    courtesy = Courtesy()
    hub = Hub(database)
    serving = Serving(config.engine, courtesy)
    stages = Stages(courtesy, paths.logs)
    bases = Bases(paths, Registry(paths), config.engine, stages, courtesy)
    unlearned = Unlearned()
    anticipation = Anticipation(bases, serving, stages)
    judging = Judging(config, database, serving, courtesy, unlearned, anticipation)
    joblog = JobLog(paths, database, hub)
    pipeline = Pipeline(
        paths, config, database, serving, bases, stages, judging, unlearned, joblog
    )  # fmt: skip
    supervisor = Supervisor(paths, database, pipeline, joblog)
    models = Models(paths, database, bases, serving, supervisor)
    aftercare = Aftercare(config.learning, database, models)
    learning = Learning(config, database, serving, aftercare, anticipation, supervisor.submit)
    metrics = Metrics()
    guest = Guest(config.engine, models, serving, courtesy)
    naming = Naming(database, serving, guest)
    corrections = Corrections(config.learning, database)
    chat = Chat(config.chat, naming, database, corrections, metrics)
    supervisor.on_finished = learning.start_if_due
    return Services(
        paths=paths,
        config=config,
        database=database,
        hub=hub,
        serving=serving,
        chat=chat,
        learning=learning,
        inbox=Inbox(database),
        forgetting=Forgetting(paths, database, serving, models, supervisor, bases, unlearned, chat),
        anticipation=anticipation,
        bases=bases,
        models=models,
        comparing=Comparing(config.chat, database, guest),
        naming=naming,
        guest=guest,
        text=Text(config.chat, naming, metrics),
        metrics=metrics,
        supervisor=supervisor,
        started=time.monotonic(),
    )


if __name__ == "__main__":
    main()
