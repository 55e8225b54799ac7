"""What `hf:OWNER/NAME[/FILE.gguf or :TYPE][@REVISION]` means among a repository's files. Pure:
knows no network and no disk."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from shammah.errors import BaseModelError, NotFound, UsageError

PREFIX = "hf:"
SUFFIX = ".gguf"

#: Which of several GGUF files is taken when none is named. Training weights are dequantized from
#: it, so the finest comes first.
PREFERRED = ("Q8_0", "Q6_K", "Q5_K_M", "Q4_K_M")

_PART = r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}"
_REPOSITORY = re.compile(rf"{_PART}/{_PART}")
_REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,199}")
_SPLIT = re.compile(r"-\d{5}-of-\d{5}\.gguf$", re.IGNORECASE)
_GRAMMAR = "hf:OWNER/NAME, hf:OWNER/NAME/FILE.gguf or hf:OWNER/NAME:Q8_0, with @REVISION behind"

#: What a folder of training weights is made of; a pickle (.bin, .pt) never is. Other safetensors
#: (consolidated, adapters) hold the same again, or something else.
_WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
_BESIDE = re.compile(r"[^/]+\.(json|jinja)|tokenizer\.model|(merges|vocab)\.txt")
_MAX_BESIDE_BYTES = 100 << 20


@dataclass(frozen=True)
class Reference:
    """What the user typed, taken apart."""

    repository: str  # OWNER/NAME
    file: str | None = None
    quantization: str | None = None
    revision: str | None = None  # a branch, a tag or a commit

    def __str__(self) -> str:
        file = f"/{self.file}" if self.file else ""
        quantization = f":{self.quantization}" if self.quantization else ""
        revision = f"@{self.revision}" if self.revision else ""
        return f"{PREFIX}{self.repository}{file}{quantization}{revision}"


@dataclass(frozen=True)
class HubFile:
    """A file of a repository at one commit."""

    name: str
    size_bytes: int
    sha256: str | None  # of large files (LFS)
    blob_id: str  # git's hash: of small files their own, of large ones their pointer's
    cached: str | None = None  # where it lies in the user's Hugging Face cache

    @property
    def identity(self) -> str:
        """Names the content."""
        return self.sha256 or self.blob_id


@dataclass(frozen=True)
class Found:
    """The files that a reference means, at the commit that its revision stood for."""

    repository: str
    commit: str
    files: Sequence[HubFile]
    architecture: str | None = None  # of the GGUF, where the hub tells

    @property
    def size_bytes(self) -> int:
        return sum(file.size_bytes for file in self.files)

    @property
    def source(self) -> str:
        """A reference that means exactly this, for ever."""
        file = self.files[0].name if len(self.files) == 1 else None
        return str(Reference(self.repository, file=file, revision=self.commit))

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Found:
        return cls(**{**data, "files": [HubFile(**file) for file in data["files"]]})


def is_reference(text: str) -> bool:
    return text.startswith(PREFIX)


def parse(text: str) -> Reference:
    """Take a reference apart.

    Raises:
        UsageError: it is none.
    """
    where, at, revision = text.removeprefix(PREFIX).partition("@")
    where, colon, quantization = where.partition(":")
    owner, name, file = (*where.split("/", 2), "", "")[:3]
    repository = f"{owner}/{name}"
    wrong = (
        not is_reference(text)
        or not _REPOSITORY.fullmatch(repository)
        or (where.count("/") > 1 and not file)
        or bool(file and (colon or not _is_file(file)))
        or bool(colon and not re.fullmatch(r"[A-Za-z0-9_-]+", quantization))
        or bool(at and not _REVISION.fullmatch(revision))
    )
    if wrong:
        raise UsageError(f"{text!r} names no model on the hub", hint=_GRAMMAR)
    return Reference(repository, file or None, quantization or None, revision or None)


def parse_repository(text: str) -> str:
    """OWNER/NAME of a reference that names a whole repository.

    Raises:
        UsageError: it names none, or more than that.
    """
    reference = parse(text)
    if str(reference) != f"{PREFIX}{reference.repository}":
        raise UsageError(f"{text!r} names more than a repository", hint="give hf:OWNER/NAME")
    return reference.repository


def choose_gguf(reference: Reference, files: Sequence[HubFile]) -> HubFile:
    """The one GGUF file that is meant.

    Raises:
        BaseModelError: the repository has none, or only one in parts.
        NotFound: not the one that is named.
        UsageError: several could be meant; the hint names them.
    """
    ggufs = [file for file in files if _is_model(file.name)]
    whole = [file for file in ggufs if not _SPLIT.search(file.name)]
    if reference.file:
        named = [file for file in files if file.name == reference.file]
        if named and _SPLIT.search(reference.file):
            raise _in_parts(reference)
        return _only(reference, named, whole)
    if reference.quantization:
        return _only(reference, [f for f in whole if _has_type(f, reference.quantization)], whole)
    if not whole:
        raise _in_parts(reference) if ggufs else _without_gguf(reference)
    if len(whole) == 1:
        return whole[0]
    for quantization in PREFERRED:
        fitting = [file for file in whole if _has_type(file, quantization)]
        if len(fitting) == 1:
            return fitting[0]
    return _only(reference, whole, whole)


def choose_weights(reference: Reference, files: Sequence[HubFile]) -> list[HubFile]:
    """The files of full-precision training weights: safetensors, configuration, tokenizer.

    Raises:
        UsageError: a single file is named.
        BaseModelError: the repository has no safetensors, or no config.json.
    """
    if reference.file or reference.quantization:
        raise UsageError(
            f"{reference} names one file: training weights are a whole repository",
            hint="give --weights hf:OWNER/NAME",
        )
    weights = [file for file in files if _WEIGHTS.fullmatch(file.name)]
    beside = [
        file
        for file in files
        if _BESIDE.fullmatch(file.name) and file.size_bytes <= _MAX_BESIDE_BYTES
    ]
    if not weights or not any(file.name == "config.json" for file in beside):
        raise BaseModelError(
            f"{reference.repository} has no safetensors with a config.json; pickled weights "
            "(.bin, .pt) can run programs when they are loaded, and are not fetched",
            hint="name another repository, or leave --weights out",
        )
    return [*beside, *weights]


def _is_file(name: str) -> bool:
    parts = name.split("/")
    return name.lower().endswith(SUFFIX) and not {"", ".", ".."} & set(parts)


def _is_model(name: str) -> bool:
    """A GGUF file, but not one that only makes a model see."""
    return name.lower().endswith(SUFFIX) and not name.rpartition("/")[2].startswith("mmproj")


def _has_type(file: HubFile, quantization: str) -> bool:
    stem = file.name[: -len(SUFFIX)]
    return re.search(rf"(^|[-._/]){re.escape(quantization)}$", stem, re.IGNORECASE) is not None


def _only(reference: Reference, fitting: Sequence[HubFile], there: Sequence[HubFile]) -> HubFile:
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(file.name for file in (fitting or there)) or "none"
    if not fitting:
        wanted = reference.file or f"GGUF file of type {reference.quantization}"
        raise NotFound(f"{reference.repository} has no {wanted}", hint=f"GGUF files there: {names}")
    raise UsageError(
        f"{reference.repository} has several GGUF files that {reference} could mean",
        hint=f"name one, as in hf:{reference.repository}/{fitting[0].name}; there are: {names}",
    )


def _in_parts(reference: Reference) -> BaseModelError:
    return BaseModelError(
        f"the GGUF of {reference.repository} is in parts, which cannot be added",
        hint="put them together with 'llama-gguf-split --merge' and add that file",
    )


def _without_gguf(reference: Reference) -> BaseModelError:
    return BaseModelError(
        f"{reference.repository} has no GGUF file, and a GGUF is what serves",
        hint="name a repository that has one (often OWNER/NAME-GGUF), and train on this one's "
        f"full precision with '--weights {reference}'",
    )
