"""/api/config: the settings in config.toml, read and changed."""

from __future__ import annotations

from fastapi import APIRouter

from shammah import config, settings
from shammah.protocol import Listing, SettingChange, SettingView
from shammah_daemon.document import errors
from shammah_daemon.services import Services, Wired

router = APIRouter(tags=["system"])


@router.get("/api/config", responses=errors(422))
async def every_setting(services: Wired) -> Listing[SettingView]:
    """Every setting: what it means, what holds now, and what holds after a restart."""
    return Listing(data=_views(services))


@router.put("/api/config/{key}", responses=errors(422, 507))
async def change(key: str, request: SettingChange, services: Wired) -> SettingView:
    """Write a value, or with null go back to the default. It holds when the daemon starts again."""
    if request.value is None:
        config.reset(services.paths.config_file, key)
    else:
        config.set_value(services.paths.config_file, key, request.value)
    return next(view for view in _views(services) if view.key == key)


def _views(services: Services) -> list[SettingView]:
    """Read from the file each time: `shammah config set` writes it too."""
    running = settings.values(services.config)
    return [
        SettingView(
            key=one.key,
            description=one.description,
            limits=one.limits,
            choices=one.choices,
            default=settings.text(one.default),
            running=settings.text(running[one.key]),
            value=settings.text(one.value),
            source=one.source,
            read_by=one.read_by,
        )
        for one in settings.settings(services.paths.config_file)
    ]
