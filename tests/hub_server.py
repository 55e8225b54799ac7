"""A small server that speaks the Hugging Face hub's protocol, as far as reading models and pushing
adapters need it: metadata, files with redirects to a storage host, Range, LFS uploads, commits.

Written after what huggingface_hub asks for. It has no Xet storage, like an older hub.
"""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

#: Files from this size on are LFS files, of which the hub tells the sha256.
LFS_BYTES = 100_000

TOKEN = "hf_right"

_PIECE_BYTES = 64 << 10


@dataclass
class Repository:
    """Its commits and what its branches and tags point at."""

    private: bool = False
    gated: bool = False
    architecture: str | None = None
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    start: int  # of the Range
    authorized: bool


@dataclass
class Hub:
    """What the server has, does wrong, and was asked."""

    url: str = ""
    storage_url: str = ""  # the same server under another name
    repositories: dict[str, Repository] = field(default_factory=dict)
    uploads: dict[str, bytes] = field(default_factory=dict)
    commits: list[dict[str, Any]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    sent_bytes: int = 0  # of files in storage
    cut_after: int | None = None  # the next file: so many bytes, then the connection breaks
    hold_after: int | None = None  # the next file: so many bytes, then nothing until `go_on`
    go_on: threading.Event = field(default_factory=threading.Event)
    corrupt: bool = False
    claimed_bytes: int | None = None  # a size that is told instead of the true one
    claimed_sha256: str | None = None

    def commit(self, name: str, files: Mapping[str, bytes], *refs: str, **about: Any) -> str:
        """Add a commit that `main` and `refs` point at; its hash."""
        repository = self.repositories.setdefault(name, Repository(**about))
        content = repr([name, len(repository.commits), sorted(files.items())])
        sha = hashlib.sha1(content.encode()).hexdigest()
        repository.commits[sha] = dict(files)
        repository.refs.update(dict.fromkeys(("main", *refs), sha))
        return sha

    def stored(self, sha256: str) -> bytes | None:
        for repository in self.repositories.values():
            for files in repository.commits.values():
                for content in files.values():
                    if hashlib.sha256(content).hexdigest() == sha256:
                        return content
        return None

    def fetched(self) -> list[Asked]:
        """Requests for the content of large files."""
        return [one for one in self.asked if one.path.startswith("/storage/")]


class _Refusal(Exception):
    def __init__(self, status: int, code: str = "", message: str = "") -> None:
        self.status, self.code, self.message = status, code, message


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    """Serve `hub` on a port of its own."""

    class Handler(_Handler):
        state = hub

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    port = server.server_address[1]
    hub.url, hub.storage_url = f"http://127.0.0.1:{port}", f"http://localhost:{port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.go_on.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: Hub

    def log_message(self, *_arguments: Any) -> None:
        """Not on the test's stderr."""

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    def _answer(self) -> None:
        parts = urlsplit(self.path)
        path = unquote(parts.path)
        wanted = self.headers.get("Range", "bytes=0-")
        start = int(wanted.removeprefix("bytes=").split("-")[0])
        authorized = self.headers.get("Authorization") == f"Bearer {TOKEN}"
        sent = "Authorization" in self.headers
        self.state.asked.append(Asked(self.command, path, start, sent))
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            self._route(path, parse_qs(parts.query), body, start, authorized)
        except _Refusal as refusal:
            headers = {"X-Error-Code": refusal.code, "X-Error-Message": refusal.message}
            self._send(refusal.status, b"{}", {k: v for k, v in headers.items() if v})

    def _route(
        self, path: str, query: dict[str, list[str]], body: bytes, start: int, authorized: bool
    ) -> None:
        parts = path.strip("/").split("/")
        if parts[0] == "storage":
            self._send_stored(parts[1], start)
        elif parts[0] == "upload":
            self.state.uploads[parts[1]] = body
            self._send(200, b"")
        elif path == "/api/validate-yaml":
            self._send_json({"warnings": [], "errors": []})
        elif path == "/api/repos/create":
            self._require(authorized)
            self._create(json.loads(body))
        elif parts[:2] == ["api", "models"]:
            name, rest = "/".join(parts[2:4]), parts[4:]
            if rest[:1] == ["preupload"]:
                self._require(authorized)
                self._send_json(_upload_modes(json.loads(body)))
            elif rest[:1] == ["commit"]:
                self._require(authorized)
                self._commit(name, body)
            else:
                revision = "/".join(rest[1:]) or "main"
                self._send_json(self._info(name, revision, query, authorized))
        elif path.endswith(".git/info/lfs/objects/batch"):
            self._require(authorized)
            self._send_json(self._batch(json.loads(body)))
        elif parts[2:3] == ["resolve"]:
            self._resolve("/".join(parts[:2]), parts[3], "/".join(parts[4:]), authorized)
        else:
            raise _Refusal(404)

    def _require(self, authorized: bool) -> None:
        if not authorized:
            raise _Refusal(401, message="Invalid credentials in Authorization header")

    def _repository(self, name: str, revision: str, authorized: bool) -> tuple[Repository, str]:
        repository = self.state.repositories.get(name)
        if repository is None or (repository.private and not authorized):
            raise _Refusal(404 if authorized else 401, "RepoNotFound")
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            raise _Refusal(404, "RevisionNotFound")
        return repository, commit

    def _info(
        self, name: str, revision: str, query: dict[str, list[str]], authorized: bool
    ) -> dict[str, Any]:
        repository, commit = self._repository(name, revision, authorized)
        told: dict[str, Any] = {"id": name, "sha": commit, "private": repository.private}
        if query.get("expand") == ["gguf"]:
            known = repository.architecture
            return told | ({"gguf": {"architecture": known}} if known else {})
        files = repository.commits[commit]
        return told | {"siblings": [self._sibling(*file) for file in files.items()]}

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        size = self.state.claimed_bytes or len(content)
        told: dict[str, Any] = {"rfilename": name, "size": size, "blobId": _git_hash(content)}
        if len(content) >= LFS_BYTES:
            sha256 = self.state.claimed_sha256 or hashlib.sha256(content).hexdigest()
            told["lfs"] = {"sha256": sha256, "size": size, "pointerSize": 130}
        return told

    def _resolve(self, name: str, revision: str, file: str, authorized: bool) -> None:
        repository, commit = self._repository(name, revision, authorized)
        if repository.gated and not authorized:
            raise _Refusal(403, "GatedRepo")
        content = repository.commits[commit].get(file)
        if content is None:
            raise _Refusal(404, "EntryNotFound")
        headers = {"X-Repo-Commit": commit, "ETag": f'"{_git_hash(content)}"'}
        if len(content) < LFS_BYTES:
            self._send(200, content, headers)
            return
        sha256 = hashlib.sha256(content).hexdigest()
        headers |= {
            "X-Linked-Etag": f'"{sha256}"',
            "X-Linked-Size": str(len(content)),
            "Location": f"{self.state.storage_url}/storage/{sha256}",
        }
        self._send(302, b"", headers)

    def _send_stored(self, sha256: str, start: int) -> None:
        content = self.state.stored(sha256)
        assert content is not None
        if self.state.corrupt:
            content = bytes(len(content))
        cut, self.state.cut_after = self.state.cut_after, None
        hold, self.state.hold_after = self.state.hold_after, None
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        self.end_headers()
        with suppress(ConnectionError):
            for position in range(start, len(content), _PIECE_BYTES):
                sent = position - start
                if cut is not None and sent >= cut:
                    self.close_connection = True
                    return
                if hold is not None and sent >= hold:
                    self.state.go_on.wait()
                    hold = None
                piece = content[position : position + _PIECE_BYTES]
                self.wfile.write(piece)
                self.state.sent_bytes += len(piece)

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted['organization']}/{wanted['name']}"
        if name in self.state.repositories:
            raise _Refusal(409)
        self.state.commit(name, {}, private=wanted.get("visibility") == "private")
        self._send_json({"url": f"{self.state.url}/{name}", "id": name, "name": name})

    def _batch(self, wanted: dict[str, Any]) -> dict[str, Any]:
        def action(one: dict[str, Any]) -> dict[str, Any]:
            upload = {"href": f"{self.state.storage_url}/upload/{one['oid']}"}
            return {"oid": one["oid"], "size": one["size"], "actions": {"upload": upload}}

        return {"transfer": "basic", "objects": [action(one) for one in wanted["objects"]]}

    def _commit(self, name: str, body: bytes) -> None:
        lines = [json.loads(line) for line in body.splitlines() if line.strip()]
        files: dict[str, bytes] = {}
        for line in lines:
            value = line["value"]
            if line["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif line["key"] == "lfsFile":
                files[value["path"]] = self.state.uploads[value["oid"]]
            else:
                self.state.commits.append(value)
        sha = self.state.commit(name, files)
        url = f"{self.state.url}/{name}/commit/{sha}"
        self._send_json({"success": True, "commitOid": sha, "commitUrl": url, "hookOutput": ""})

    def _send_json(self, data: dict[str, Any]) -> None:
        self._send(200, json.dumps(data).encode(), {"Content-Type": "application/json"})

    def _send(self, status: int, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        for key, value in (headers or {}).items():
            self.send_header(key, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _upload_modes(wanted: dict[str, Any]) -> dict[str, Any]:
    def mode(file: dict[str, Any]) -> dict[str, Any]:
        large = file["size"] >= LFS_BYTES or file["path"].endswith((".safetensors", ".gguf"))
        chosen = "lfs" if large else "regular"
        return {"path": file["path"], "uploadMode": chosen, "shouldIgnore": False, "oid": None}

    return {"files": [mode(file) for file in wanted["files"]]}


def _git_hash(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
