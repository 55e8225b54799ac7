"""What the routes may call: the daemon's services, built by the composition root."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from shammah.config import Config
from shammah.paths import Paths
from shammah_daemon.adapters import Adapters
from shammah_daemon.anticipation import Anticipation
from shammah_daemon.backup import Backups
from shammah_daemon.bases import Bases
from shammah_daemon.chat import Chat
from shammah_daemon.comparing import Comparing
from shammah_daemon.database import Database
from shammah_daemon.estimates import Estimates
from shammah_daemon.exporting import Exporting
from shammah_daemon.forgetting import Forgetting
from shammah_daemon.guest import Guest
from shammah_daemon.hardware import Hardware
from shammah_daemon.hub import Hub
from shammah_daemon.importing import Importing
from shammah_daemon.inbox import Inbox
from shammah_daemon.learning import Learning
from shammah_daemon.metrics import Metrics
from shammah_daemon.models import Models
from shammah_daemon.naming import Naming
from shammah_daemon.notices import Notices
from shammah_daemon.pruning import Pruning
from shammah_daemon.pushing import Pushing
from shammah_daemon.schedule.conditions import Conditions
from shammah_daemon.schedule.scheduler import Scheduler
from shammah_daemon.serving import Serving
from shammah_daemon.stages import Stages
from shammah_daemon.supervisor import Supervisor
from shammah_daemon.systemd import Systemd
from shammah_daemon.text import Text
from shammah_daemon.tuning import FineTuning


@dataclass(frozen=True)
class Services:
    """Every service, one attribute each."""

    paths: Paths
    config: Config
    database: Database
    hub: Hub
    serving: Serving
    stages: Stages
    chat: Chat
    learning: Learning
    inbox: Inbox
    importing: Importing
    tuning: FineTuning
    forgetting: Forgetting
    anticipation: Anticipation
    bases: Bases
    models: Models
    adapters: Adapters
    exporting: Exporting
    comparing: Comparing
    naming: Naming
    guest: Guest
    text: Text
    metrics: Metrics
    supervisor: Supervisor
    backups: Backups
    systemd: Systemd
    notices: Notices
    conditions: Conditions
    estimates: Estimates
    scheduler: Scheduler
    pruning: Pruning
    pushing: Pushing
    hardware: Hardware
    started: float  # time.monotonic()


def _services(request: Request) -> Services:
    services: Services = request.app.state.services
    return services


Wired = Annotated[Services, Depends(_services)]
