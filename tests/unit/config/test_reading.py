"""Values that are not known on this machine: a file with one says that, and nothing that follows from it."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from agenthost.config.loading import Options, examine_text

FULL = """
version: 1
livekit: { url: "wss://x", api_key: "${K}", api_secret: "${S}", secret_in_jobs: true, proxy: "http://p:1" }
log_level: INFO
log_levels: { a: INFO }
log_format: { format: json, rename: { message: msg } }
http: { listen: "127.0.0.1:1" }
control: { socket: none }
preload: [json]
timezone: UTC
load: { max_jobs: 5, cpu: 70%, memory: 80% }
reload: { watch: [config], paths: [x], debounce: 1s, running_jobs: finish }
tests:
  - { name: a, agent: one, request: { room.name: x }, at: "2026-03-02T10:00:00", expect: {
        action: accept, agent: one, rule: r, reason: x, identity: i, name: n, metadata: m, attributes: { a: b },
        permissions: { can_publish: true, can_publish_sources: [camera] } } }
agents:
  one:
    entrypoint: code:run
    prewarm: { callable: "code:run", shared: true }
    session_end: code:run
    env: { A: b }
    working_dir: .
    start_method: auto
    agent_name: x
    type: room
    deployment: d
    register: true
    unique_per_room: true
    permissions: { can_publish: true, can_publish_sources: [camera] }
    requests:
      accept: { identity: "a-{job.id}", name: n, metadata: m, attributes: { a: b } }
      rules:
        - name: r
          when: { room.name: x, sample: 10%, any: [{ time.hour: "8..9", job.attributes.z: q, room.age: { gt: 5s },
            room.num_participants: { ge: 2 } }] }
          action: accept
          accept: { identity: "b-{job.id}", attributes: { q: r } }
          permissions: { hidden: true }
        - { name: s, when: { room.name: [y, "/z/"] }, agent: two }
      otherwise: reject
      handler: code:run
    load: { max_jobs: 5, cpu: 70%, custom: { callable: "code:run", limit: 1 } }
    num_idle_processes: 1
    limits: { init: 10s, connect: 10s, unresponsive: 60s, shutdown: 10s, session_end: 5m,
      memory_warn: 1GB, memory: 1GB, max_duration: 1h, empty_room: 1m, open_files: 10 }
    restart: { policy: on-failure, attempts: 2, backoff: 1s }
    recovery: { enabled: true, sweep: true, attempts: 2 }
    drain_timeout: 1m
    log_level: INFO
    settings: { a: b, c: [d] }
  two: { entrypoint: "code:run", register: false }
"""
Steps = tuple[str | int, ...]


def scalars(value: object, path: Steps = ()) -> Iterator[Steps]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from scalars(child, (*path, key))
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from scalars(child, (*path, index))
    else:
        yield path


def with_reference(path: Steps) -> str:
    """The whole file with a reference instead of the value at `path`."""
    data: Any = yaml.safe_load(FULL)
    holder = copy.deepcopy(data)
    inner = holder
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = "${NOT_SET}"
    return str(yaml.safe_dump(holder, sort_keys=False))


@pytest.mark.parametrize("path", list(scalars(yaml.safe_load(FULL))), ids=lambda path: ".".join(map(str, path)))
def test_a_value_that_is_not_known_here_is_one_finding_or_none(path: Steps, tmp_path: Path) -> None:
    """Wherever it stands: one about the variable, and with --no-secrets a configuration."""
    (tmp_path / "code.py").write_text("async def run(ctx): ...\n")
    for secrets in (True, False):
        options = Options(environ={"K": "k", "S": "s"}, command="start", secrets=secrets)
        done = examine_text(with_reference(path), tmp_path / "agenthost.yaml", options)
        assert [finding.code for finding in done.findings] == (["AH304"] if secrets else [])
        assert (done.config is None) is secrets
