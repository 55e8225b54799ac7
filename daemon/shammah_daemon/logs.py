"""Where the daemon's log lines go: one JSON object a line, in a file that rotates.

No prompt, answer, note or correction is ever logged; callers pass ids and numbers.
"""

from __future__ import annotations

import logging
import os
from logging.handlers import RotatingFileHandler
from pathlib import Path

import structlog

MAX_BYTES = 5 << 20
BACKUPS = 3

_SHARED: list[structlog.typing.Processor] = [
    structlog.stdlib.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
]


def configure(file: Path, level: str) -> None:
    """Send structlog's and the libraries' lines to `file` (mode 0600)."""
    os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    handler = RotatingFileHandler(file, maxBytes=MAX_BYTES, backupCount=BACKUPS, encoding="utf-8")
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=_SHARED,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    # Their debug lines would carry what is sent, also when ours are wanted.
    for chatty in (
        "apscheduler", "asyncio", "httpcore", "httpx", "sse_starlette", "uvicorn.access",
    ):  # fmt: skip
        logging.getLogger(chatty).setLevel(logging.WARNING)
    structlog.configure(
        processors=[*_SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
