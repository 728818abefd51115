"""The books of one host, kept from its log as it comes: which jobs it holds, and what must never be."""

import time
from collections import defaultdict

from agenthost.testing.host_process import HostProcess

LONGEST_SECONDS = 60.0
"""A job that was accepted is over by then: those of a campaign last two seconds, and what hangs is ended."""


class Books:
    """`look` reads on; `wrong` are sentences about what it found. `most_jobs` at once is what the file allows."""

    def __init__(self, host: HostProcess, *, most_jobs: int) -> None:
        self.wrong: list[str] = []
        self.ended: set[str] = set()
        self.accepted = 0
        self.failed = 0
        self.restarts = 0
        self._host = host
        self._most_jobs = most_jobs
        self._read = 0
        self._held: dict[str, tuple[str, float]] = {}
        self._rooms: dict[str, set[str]] = defaultdict(set)

    @property
    def held(self) -> set[str]:
        """Jobs that were accepted and have not ended."""
        return set(self._held)

    def look(self) -> None:
        """Take in what the host has said since the last look."""
        lines = self._host.lines[self._read :]
        self._read += len(lines)
        for line in lines:
            job, room = str(line.fields.get("job_id")), str(line.fields.get("room"))
            match line.message:
                case "job accepted":
                    self._accept(job, room)
                case "job not assigned":
                    self._let_go(job)
                case "job ended":
                    self._end(job, succeeded=line.fields["outcome"] == "succeeded")
                case "dispatched again":
                    self.restarts += 1
                case "offer failed inside the host" | "job failed inside the host" | "log lines dropped":
                    self.wrong.append(f"{line.message}: {dict(line.fields)}")
        late = time.monotonic() - LONGEST_SECONDS
        for job in [job for job, (_, since) in self._held.items() if since < late]:
            self.wrong.append(f"{job} was accepted and has not ended for {LONGEST_SECONDS:.0f} s")
            self._let_go(job)

    def close(self, *, killed: bool) -> None:
        """The last look: what is still held was dropped, unless the host was killed with it."""
        self.look()
        if self._held and not killed:
            self.wrong.append(f"accepted and never ended: {sorted(self._held)}")

    def _accept(self, job: str, room: str) -> None:
        self.accepted += 1
        self._held[job] = room, time.monotonic()
        self._rooms[room].add(job)
        if len(self._held) > self._most_jobs:
            self.wrong.append(f"{len(self._held)} jobs at once")
        if len(self._rooms[room]) > 1:
            self.wrong.append(f"two agents for one dispatch: {sorted(self._rooms[room])}")

    def _end(self, job: str, *, succeeded: bool) -> None:
        if job in self.ended:
            self.wrong.append(f"{job} ended twice")
        self.ended.add(job)
        self.failed += not succeeded
        self._let_go(job)

    def _let_go(self, job: str) -> None:
        if job in self._held:
            room, _ = self._held.pop(job)
            self._rooms[room].discard(job)
