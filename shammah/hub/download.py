"""Fetches the files of a `Found` into a folder where each is called after its content, and goes on
with what an earlier attempt has left there.

huggingface_hub's own downloads begin anew after an interruption (its temporary files are named by
chance), and those through Xet, too. So only its transport is used: plain HTTP with Range requests,
which it repeats by itself when a connection breaks.
"""

from __future__ import annotations

import os
import shutil
import time
from pathlib import Path
from typing import Any, cast

from huggingface_hub import constants, hf_hub_url
from huggingface_hub.file_download import http_get
from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]
from huggingface_hub.utils.sha import git_hash

from shammah import __version__, stage
from shammah.errors import HubError
from shammah.files import require_space, sha256_of, storage_error, sync
from shammah.hub.reference import Found, HubFile
from shammah.hub.refusals import explaining

#: Behind the name of a file that has not arrived whole. Not `files.PARTIAL`: that is swept up when
#: the daemon starts.
INCOMPLETE = ".incomplete"

#: What one read holds in memory, and so what an interruption loses at most. huggingface_hub's own
#: 10 MB are more than some connections bring in ten seconds.
CHUNK_BYTES = 1 << 20

REPORT_SECONDS = 0.25


class Progress:
    """Counts bytes over all files and tells the parent. Stands where the library wants a bar."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._done_bytes = 0
        self._told_at = 0.0
        self._file = ""

    def skip(self, count: int) -> None:
        """What is there already, and says nothing of the rate."""
        self._done_bytes += count

    def begin(self, file: str) -> None:
        self._file = file
        self.tell("downloading")

    def update(self, count: float) -> None:
        self._done_bytes += int(count)
        if time.monotonic() - self._told_at >= REPORT_SECONDS:
            self.tell("downloading")

    def tell(self, what: str) -> None:
        self._told_at = time.monotonic()
        stage.report(
            stage=what,
            file=self._file,
            done_bytes=self._done_bytes,
            total_bytes=self._total_bytes,
        )

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.tell("downloading")


def download(found: Found, folder: Path) -> None:
    """Every file of `found` as `folder/<identity>`, verified.

    Raises:
        DiskFull: they do not fit; nothing is fetched then.
        HubError: the hub cannot be reached or sent something else; what has arrived is kept in the
            first case.
    """
    constants.DOWNLOAD_CHUNK_SIZE = CHUNK_BYTES
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    missing = [file for file in found.files if not (folder / file.identity).exists()]
    require_space(folder, sum(file.size_bytes - _arrived(folder, file) for file in missing))
    progress = Progress(found.size_bytes)
    progress.skip(sum(file.size_bytes for file in found.files if file not in missing))
    for file in missing:
        progress.skip(_arrived(folder, file))
        progress.begin(file.name)
        _obtain(found, file, folder, progress)


def _obtain(found: Found, file: HubFile, folder: Path, progress: Progress) -> None:
    incomplete = folder / (file.identity + INCOMPLETE)
    try:
        if file.cached is not None:
            _take_from_cache(Path(file.cached), incomplete)
            progress.update(file.size_bytes)
        else:
            _fetch(found, file, incomplete, progress)
        progress.tell("verifying")
        _verify(found, file, incomplete)
        incomplete.replace(folder / file.identity)
        sync(folder)
    except OSError as error:
        if error.errno is None:  # the library's words for a file that ended too early
            raise HubError(
                f"{file.name} of {found.repository} did not arrive whole: {error}",
                hint="the same command goes on where it stopped",
            ) from error
        raise storage_error(error, incomplete) from error


def _arrived(folder: Path, file: HubFile) -> int:
    """How many bytes of it an earlier attempt has left."""
    incomplete = folder / (file.identity + INCOMPLETE)
    if file.cached is not None or not incomplete.exists():
        return 0
    size = incomplete.stat().st_size
    return size if size <= file.size_bytes else 0


def _take_from_cache(cached: Path, incomplete: Path) -> None:
    """A hard link costs no disk and outlives the cache; else a copy."""
    incomplete.unlink(missing_ok=True)
    try:
        os.link(cached.resolve(), incomplete)
    except OSError:
        shutil.copyfile(cached, incomplete)


def _fetch(found: Found, file: HubFile, incomplete: Path, progress: Progress) -> None:
    if file.size_bytes > constants.MAX_HTTP_DOWNLOAD_SIZE:
        raise HubError(
            f"{file.name} is larger than what the hub sends over plain HTTP",
            hint="fetch it with 'hf download'; then the same command finds it in the cache",
        )
    if incomplete.exists() and incomplete.stat().st_size > file.size_bytes:
        incomplete.unlink()

    def bar(**_options: object) -> Progress:
        return progress

    headers = build_hf_headers(library_name="shammah", library_version=__version__)
    incomplete.touch(mode=0o600)
    with explaining(found.repository, found.commit), incomplete.open("ab") as part:
        http_get(
            hf_hub_url(found.repository, file.name, revision=found.commit),
            part,
            resume_size=part.tell(),
            # No compression: then the server would not resume.
            headers={**headers, "Accept-Encoding": "identity"},
            expected_size=file.size_bytes,
            displayed_filename=file.name,
            tqdm_class=cast(Any, bar),  # which it only calls
        )
        part.flush()
        os.fsync(part.fileno())


def _verify(found: Found, file: HubFile, path: Path) -> None:
    if file.sha256 is not None:
        right = sha256_of(path) == file.sha256
    else:
        right = git_hash(path.read_bytes()) == file.blob_id
    if not right:
        path.unlink()
        raise HubError(
            f"{file.name} of {found.repository} is not what the hub says that it is: its hash is "
            f"not {file.identity}",
            hint="the same command fetches it anew",
        )
