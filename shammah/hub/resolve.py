"""Which files a reference means now: asks the hub, or the user's Hugging Face cache where there is
no hub to ask. Fetches nothing."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from httpx2 import TransportError
from huggingface_hub import CachedFileInfo, HfApi, constants, scan_cache_dir, try_to_load_from_cache
from huggingface_hub.errors import CacheNotFound, OfflineModeIsEnabled
from huggingface_hub.hf_api import RepoSibling

from shammah import __version__
from shammah.errors import BaseModelError, HubError, NotFound
from shammah.files import sha256_of
from shammah.hub.reference import Found, HubFile, Reference, choose_gguf, choose_weights
from shammah.hub.refusals import explaining

#: How long one answer may take; files have a time limit of their own.
ASK_SECONDS = 30.0

_SHA256 = re.compile(r"[0-9a-f]{64}")
_GIT_HASH = re.compile(r"[0-9a-f]{40}")


def api() -> HfApi:
    """The hub of HF_ENDPOINT, asked with the user's token if there is one."""
    return HfApi(library_name="shammah", library_version=__version__)


def resolve(reference: Reference, *, weights: bool) -> Found:
    """The GGUF that is meant, or with `weights` the files of the training weights.

    Raises:
        NotFound, BaseModelError, UsageError: there is no such thing, or not one; says what is.
        HubError: the hub cannot be asked, and the cache does not have it.
    """
    with explaining(reference.repository, reference.revision):
        try:
            return _ask(reference, weights=weights)
        except (OfflineModeIsEnabled, TransportError):
            found = _in_cache(reference, weights=weights)
            if found is None:
                raise
            return found


def _ask(reference: Reference, *, weights: bool) -> Found:
    name, hub = reference.repository, api()
    info = hub.model_info(
        name, revision=reference.revision, files_metadata=True, timeout=ASK_SECONDS
    )
    chosen = _choose(reference, [_hub_file(s) for s in info.siblings or []], weights=weights)
    commit = info.sha or ""
    _require_hashes(name, commit, chosen)
    architecture = None
    if not weights:
        told = hub.model_info(name, revision=commit, expand=["gguf"], timeout=ASK_SECONDS)
        architecture = (told.gguf or {}).get("architecture")
    return Found(
        repository=name,
        commit=commit,
        files=[_with_cached(file, name, commit) for file in chosen],
        architecture=architecture,
    )


def _choose(reference: Reference, files: Sequence[HubFile], *, weights: bool) -> list[HubFile]:
    return choose_weights(reference, files) if weights else [choose_gguf(reference, files)]


def _require_hashes(repository: str, commit: str, files: Sequence[HubFile]) -> None:
    """They name files here: whatever answers must not choose other names."""
    right = all(
        _SHA256.fullmatch(file.sha256) if file.sha256 else _GIT_HASH.fullmatch(file.blob_id)
        for file in files
    )
    if not right or not _GIT_HASH.fullmatch(commit):
        raise HubError(
            f"{constants.ENDPOINT} does not tell the hashes of {repository}",
            hint="check HF_ENDPOINT: it must be a Hugging Face hub",
        )


def _hub_file(sibling: RepoSibling) -> HubFile:
    return HubFile(
        name=sibling.rfilename,
        size_bytes=sibling.size or 0,
        sha256=sibling.lfs.sha256 if sibling.lfs else None,
        blob_id=sibling.blob_id or "",
    )


def _with_cached(file: HubFile, repository: str, commit: str) -> HubFile:
    path = try_to_load_from_cache(repository, file.name, revision=commit)
    return replace(file, cached=path) if isinstance(path, str) else file


def _in_cache(reference: Reference, *, weights: bool) -> Found | None:
    """What the cache has of the repository at that revision; without one, of its main branch."""
    try:
        repositories = scan_cache_dir().repos
    except CacheNotFound:
        return None
    wanted = reference.revision or constants.DEFAULT_REVISION
    for repository in repositories:
        if repository.repo_type != "model" or repository.repo_id != reference.repository:
            continue
        for revision in repository.revisions:
            if wanted == revision.commit_hash or wanted in revision.refs:
                files = [
                    _cached_file(str(file.file_path.relative_to(revision.snapshot_path)), file)
                    for file in sorted(revision.files, key=lambda one: one.file_path)
                ]
                try:
                    chosen = _choose(reference, files, weights=weights)
                except (NotFound, BaseModelError):  # of the repository, or only of the cache?
                    return None
                return Found(reference.repository, revision.commit_hash, chosen)
    return None


def _cached_file(name: str, file: CachedFileInfo) -> HubFile:
    """The cache calls the content by its hash, unless it could make no links."""
    blob = file.blob_path.name
    git_hash = blob if _GIT_HASH.fullmatch(blob) else ""
    sha256 = blob if _SHA256.fullmatch(blob) else None
    return HubFile(
        name=name,
        size_bytes=file.size_on_disk,
        sha256=sha256 if sha256 or git_hash else sha256_of(file.file_path),
        blob_id=git_hash,
        cached=str(file.file_path),
    )
