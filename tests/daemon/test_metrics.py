"""What /metrics tells of a real daemon, and what it keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from shammah.client import Client
from shammah.records import Level
from tests.asking import answered
from tests.running import Daemon, serving_tiny


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory, tiny_ground: Path) -> Iterator[Daemon]:
    with serving_tiny(tmp_path_factory.mktemp("metrics"), tiny_ground) as daemon:
        yield daemon


def samples(http: httpx.Client) -> dict[tuple[str, ...], float]:
    """Values by name and label values."""
    response = http.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(response.text)
        for sample in family.samples
    }


def test_metrics_count_what_happens(client: Client, http: httpx.Client) -> None:
    before = samples(http)
    completion = answered(client, max_tokens=5)
    client.feedback(Level.CRITICAL, completion.id, correction="It listens on port 7443.")
    http.get("/api/jobs/77")
    found = samples(http)

    def gained(*key: str) -> float:
        return found[key] - before.get(key, 0)

    assert gained("shammah_requests_total", "POST", "/v1/chat/completions", "200") == 1
    assert gained("shammah_requests_total", "GET", "/api/jobs/{job_id}", "404") == 1
    assert gained("shammah_generated_tokens_total") == 5
    assert gained("shammah_first_token_seconds_count") == 1
    assert gained("shammah_tokens_per_second_count") == 1
    assert found["shammah_engine_state", "ready"] == 1
    assert found["shammah_engine_state", "failed"] == 0
    assert found["shammah_examples", "ready"] == 1
    assert found["shammah_jobs", "queued"] == 0
    assert found["shammah_active_version",] == 0
    assert found["shammah_database_bytes",] > 4096


def test_metrics_hold_no_words_of_anybody(client: Client, http: httpx.Client) -> None:
    answered(client, "Where does the sesame grow?", max_tokens=2)
    http.get("/api/sesame/sesame?sesame=1")
    http.get("/v1/models/sesame")
    http.request("SESAME", "/api/status")
    text = http.get("/metrics").text
    assert "sesame" not in text.lower()
    assert 'route="none"' in text
