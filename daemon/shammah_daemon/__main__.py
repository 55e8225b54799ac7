"""The composition root of the daemon: builds every object and passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from socket import socket
from types import FrameType

import pynvml
import uvicorn

from shammah import config as settings
from shammah import coredumps, token
from shammah.bases.registry import Registry
from shammah.config import Config
from shammah.errors import ShammahError
from shammah.files import remove_partials
from shammah.paths import Paths
from shammah.store.database import Store
from shammah_daemon import app, logs, staged, stderr
from shammah_daemon.adapters import Adapters
from shammah_daemon.aftercare import Aftercare
from shammah_daemon.anticipation import Anticipation
from shammah_daemon.backup import Backups
from shammah_daemon.bases import Bases
from shammah_daemon.chat import Chat
from shammah_daemon.comparing import Comparing
from shammah_daemon.corrections import Corrections
from shammah_daemon.courtesy import Courtesy
from shammah_daemon.database import Database
from shammah_daemon.doors.connection import Connection
from shammah_daemon.doors.entry import behind_doors
from shammah_daemon.doors.tcp import tcp_listener
from shammah_daemon.ending import GRACE_SECONDS, Ending
from shammah_daemon.estimates import Estimates
from shammah_daemon.exporting import Exporting
from shammah_daemon.forgetting import Forgetting
from shammah_daemon.gpus import Gpus
from shammah_daemon.guest import Guest
from shammah_daemon.hardware import Hardware, take
from shammah_daemon.hub import Hub
from shammah_daemon.importing import Importing
from shammah_daemon.inbox import Inbox
from shammah_daemon.joblog import JobLog
from shammah_daemon.judging import Judging
from shammah_daemon.learning import Learning
from shammah_daemon.library import Library
from shammah_daemon.lifecycle import listening, only_daemon
from shammah_daemon.metrics import Metrics
from shammah_daemon.models import Models
from shammah_daemon.naming import Naming
from shammah_daemon.notices import Notices
from shammah_daemon.pipeline import Pipeline
from shammah_daemon.pruning import Pruning
from shammah_daemon.pushing import Pushing
from shammah_daemon.schedule.conditions import Conditions, snapshot
from shammah_daemon.schedule.scheduler import Scheduler
from shammah_daemon.services import Services
from shammah_daemon.serving import Serving
from shammah_daemon.stages import Stages
from shammah_daemon.supervisor import Supervisor
from shammah_daemon.systemd import Systemd
from shammah_daemon.text import Text
from shammah_daemon.tuning import FineTuning
from shammah_daemon.unlearned import Unlearned


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

    def __init__(
        self, config: uvicorn.Config, ending: Ending, on_started: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._ending = ending
        self._on_started = on_started

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets)
        self._on_started()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Not uvicorn's own, which sse_starlette extends by cutting every stream at once."""
        self.should_exit = True
        self._ending.tell()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        yield


def run(paths: Paths) -> None:
    """Serve on the home's socket until told to stop."""
    coredumps.forbid()
    paths.create()
    config = settings.load(paths.config_file)
    with only_daemon(paths), listening(paths) as unix, tcp_listener(config.daemon) as tcp:
        for folder in (paths.jobs, paths.versions, paths.bases, paths.adapters):
            remove_partials(folder)
        if tcp:
            token.ensure(paths.token)
        logs.configure(paths.log_file, config.daemon.log_level)
        staged.finish(paths)
        store = Store.open(paths.database)
        store.require_whole()
        ending = Ending()
        application = app.create(lambda: build(paths, config, store), ending)

        def started() -> None:
            application.state.services.systemd.ready()
            stderr.shorten(paths.logs)  # whoever started us has read by now what went wrong

        server = Server(
            uvicorn.Config(
                behind_doors(application, config.daemon, paths.token),
                http=Connection,
                ws="none",
                log_config=None,
                access_log=False,
                timeout_graceful_shutdown=GRACE_SECONDS + 1,  # what was cut short is told so
                lifespan="on",
            ),
            ending,
            on_started=started,
        )
        asyncio.run(server.serve(sockets=[unix, tcp] if tcp else [unix]))
        if not server.started:
            raise ShammahError("the daemon could not start", hint=f"see {paths.log_file}")


def build(paths: Paths, config: Config, store: Store) -> Services:
    """Every service, wired. Called inside the event loop."""
    database = Database(store)
    courtesy = Courtesy()
    hub = Hub(database)
    moving_pointer = asyncio.Lock()
    registry = Registry(paths)
    library = Library(paths, registry, database)
    serving = Serving(config.engine, courtesy, library.attachments)
    stages = Stages(courtesy, paths.logs)
    bases = Bases(paths, registry, config.engine, stages, courtesy)
    unlearned = Unlearned()
    anticipation = Anticipation(bases, serving, stages, config.training.launch)
    judging = Judging(config, database, serving, courtesy, unlearned, anticipation)
    joblog = JobLog(paths, database, hub)
    pipeline = Pipeline(
        paths, config, database, serving, bases, stages, judging, unlearned, joblog,
        moving_pointer,
    )  # fmt: skip
    gpus = Gpus(pynvml)
    conditions = Conditions(
        paths,
        config,
        bases,
        lambda: snapshot(paths, courtesy.idle_seconds, stages.ahead_pid),
        gpus.accelerators,
    )
    estimates = Estimates(paths, config, database, conditions)
    joblog.account = estimates.account
    supervisor = Supervisor(paths, database, pipeline, joblog, conditions, config.training)
    supervisor.on_queued = estimates.announce
    models = Models(paths, database, bases, serving, supervisor, moving_pointer)
    # Of its own: a lesson's stage that waits for its work must not make room for an import.
    adapter_stages = Stages(courtesy, paths.logs)
    aftercare = Aftercare(config.learning, database, models)
    learning = Learning(
        config, database, serving, aftercare, anticipation, supervisor.submit, conditions.waits
    )
    metrics = Metrics()
    guest = Guest(config.engine, models, serving, courtesy)
    naming = Naming(database, serving, guest)
    corrections = Corrections(config.learning, database)
    chat = Chat(config.chat, naming, database, corrections, metrics)
    pruning = Pruning(paths, config.learning.keep_versions, database, models)
    scheduler = Scheduler(
        config.learning.consolidate_at, database, learning.teach_at_night, supervisor.look_again
    )
    systemd = Systemd(serving, os.environ)
    notices = Notices(config.notify)
    joblog.observers += [systemd.job_changed, notices.job_changed]
    importing = Importing(config.learning, database, serving, learning)

    def role(pid: int) -> str | None:
        if pid == serving.status().pid:
            return "serving"
        return "training" if pid in courtesy.children else None

    async def after_job() -> None:
        await pruning.after_job()
        await learning.start_if_due()
        await scheduler.look()

    supervisor.on_finished = after_job
    return Services(
        paths=paths,
        config=config,
        database=database,
        hub=hub,
        serving=serving,
        stages=stages,
        chat=chat,
        learning=learning,
        inbox=Inbox(database),
        importing=importing,
        tuning=FineTuning(paths, config.training, database, importing, supervisor),
        forgetting=Forgetting(paths, database, serving, models, supervisor, bases, unlearned, chat),
        anticipation=anticipation,
        bases=bases,
        models=models,
        adapters=Adapters(paths, database, bases, serving, library, adapter_stages),
        exporting=Exporting(paths, config, bases, library, adapter_stages),
        comparing=Comparing(config.chat, database, guest),
        naming=naming,
        guest=guest,
        text=Text(config.chat, naming, metrics),
        metrics=metrics,
        supervisor=supervisor,
        backups=Backups(paths, database),
        systemd=systemd,
        notices=notices,
        conditions=conditions,
        estimates=estimates,
        scheduler=scheduler,
        pruning=pruning,
        pushing=Pushing(paths, database, bases, stages),
        hardware=Hardware(lambda at: take(at, paths, gpus, role)),
        started=time.monotonic(),
    )


if __name__ == "__main__":
    main()
