"""The OpenAPI document is true: generated requests to every route get what it promises.

A bounded number of cases by default; `--api-cases 2500` runs so many (docs/reliability.md).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from math import ceil
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import Case, GenerationMode
from schemathesis.checks import CHECKS, load_all_checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.result import Ok
from schemathesis.schemas import APIOperation

from shammah import token
from shammah.records import Level
from tests.asking import answered
from tests.running import TINY, TINY_LESSON, Daemon, free_port, furnish, home_in, running
from tests.versions import promote

CHECKED = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
)

#: A request that takes longer hangs. Far above what it needs: CI machines are slow.
HANG_SECONDS = 240

#: What the daemon may gain between the first third of the cases and the end.
GROWTH_BYTES = 32 << 20

#: Answers are short, and no number of corrections starts a lesson by itself.
SETTINGS = TINY_LESSON | {
    "SHAMMAH_ENGINE__CONTEXT_TOKENS": "256",
    "SHAMMAH_CHAT__MAX_TOKENS": "4",
    "SHAMMAH_LEARNING__THRESHOLD_EXAMPLES": "1000000",
}

#: Values that mean something in this daemon: chance alone would never hit them.
KNOWN = {
    "example_id": 1,
    "job_id": 1,
    "number": 1,
    "session_id": 1,
    "name": TINY,
    "model": "shammah@1",
    "turn_id": "newest",
    "key": "chat.temperature",
    "fine_tuning_job_id": "ftjob-1",
}


@pytest.fixture(scope="module")
def daemon(
    tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path, other_tiny_base: Path
) -> Iterator[Daemon]:
    """Version 1 serves; there are an answer, an example and a job."""
    paths = home_in(tmp_path_factory.mktemp("document"))
    furnish(paths, tiny_ground, TINY)
    promote(paths, [other_tiny_base])
    with running(paths, SETTINGS | {"SHAMMAH_DAEMON__PORT": str(free_port())}) as daemon:
        with daemon.client as client:
            turn = answered(client)
            client.feedback(Level.CRITICAL, turn.id, correction="It listens on port 7443.")
            client.begin_session()
        yield daemon


@pytest.fixture(scope="module")
def session(daemon: Daemon) -> Iterator[requests.Session]:
    """A program that was given the token."""
    with requests.Session() as session:
        session.headers["Authorization"] = f"Bearer {token.read(daemon.paths.token)}"
        yield session


@pytest.fixture(scope="module")
def url(daemon: Daemon) -> str:
    return f"http://127.0.0.1:{daemon.settings['SHAMMAH_DAEMON__PORT']}"


@pytest.fixture(scope="module")
def document(url: str, session: requests.Session) -> dict[str, Any]:
    found: dict[str, Any] = session.get(f"{url}/openapi.json", timeout=HANG_SECONDS).json()
    return found


def test_every_route_says_how_it_refuses(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    assert "HTTPValidationError" not in text
    for path, operations in document["paths"].items():
        for operation in operations.values():
            refused = set(operation["responses"]) & {"400", "422"}
            assert refused <= ({"400"} if path.startswith("/v1/") else {"422"}), path
            takes = "requestBody" in operation or "parameters" in operation
            assert refused or not takes, path


def test_generated_requests_get_what_the_document_promises(
    url: str,
    daemon: Daemon,
    document: dict[str, Any],
    session: requests.Session,
    request: pytest.FixtureRequest,
) -> None:
    wanted = request.config.getoption("--api-cases")
    load_all_checks()
    checks = CHECKS.get_by_names(CHECKED)
    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=url)
    operations = [found.ok() for found in schema.get_all_operations() if isinstance(found, Ok)]
    each = ceil(wanted / len(operations))
    assert daemon.process is not None
    process = psutil.Process(daemon.process.pid)
    statuses: Counter[int] = Counter()
    resident = []
    untrue: list[BaseException] = []
    for part in range(3):
        for operation in operations:
            statuses.update(_run(operation, session, checks, ceil(each / 3), part, untrue))
        resident.append(process.memory_info().rss)
    print(f"{statuses.total()} cases of {len(operations)} operations: {dict(statuses)}")
    print("resident after each third, MB:", [round(size / 1e6, 1) for size in resident])
    if untrue:
        raise BaseExceptionGroup("the document is not true", untrue)
    assert statuses.total() >= 0.8 * wanted  # an operation without parameters has few cases
    assert resident[-1] - resident[0] < GROWTH_BYTES
    with daemon.client as client:
        assert client.health().status == "ok"


def _run(
    operation: APIOperation[Any, Any, Any, Any],
    session: requests.Session,
    checks: Any,
    count: int,
    part: int,
    untrue: list[BaseException],
) -> list[int]:
    """The statuses of `count` requests, some of them wrong on purpose."""
    statuses: list[int] = []
    known = {p.name: KNOWN[p.name] for p in operation.path_parameters if p.name in KNOWN}
    strategies = [
        operation.as_strategy(GenerationMode.POSITIVE, path_parameters=known or None),
        operation.as_strategy(GenerationMode.POSITIVE),
        operation.as_strategy(GenerationMode.NEGATIVE),
    ]

    @seed(part)
    @settings(
        max_examples=count,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.one_of(strategies))
    def ask(case: Case[Any]) -> None:
        statuses.append(_ask(case, session, checks))

    try:
        ask()
    except (AssertionError, FailureGroup, requests.RequestException) as error:
        untrue.append(error)
    return statuses


def _ask(case: Case[Any], session: requests.Session, checks: Any) -> int:
    if case.operation.path.endswith("/events"):
        return _listen(case, session)
    response = case.call(session=session, headers=_let_in(session), timeout=HANG_SECONDS)
    case.validate_response(response, checks=checks)
    return int(response.status_code)


def _listen(case: Case[Any], session: requests.Session) -> int:
    """Events come for as long as one listens: only how they begin is looked at."""
    arguments = case.as_transport_kwargs(headers=_let_in(session))
    with session.request(**arguments, stream=True, timeout=HANG_SECONDS) as response:
        assert str(response.status_code) in case.operation.definition.raw["responses"]
        return int(response.status_code)


def _let_in(session: requests.Session) -> dict[str, str]:
    """Tokens are generated, too: what is asked here is what comes after the doors."""
    return {"Authorization": str(session.headers["Authorization"])}
