"""The commands that wait for the line, by lane.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator

from aiobc9x.core import effects
from aiobc9x.core.events import Job, Lane


class JobQueue:
    """First come, first served in each lane.

    Attributes:
        waiting: How many jobs there are in all lanes.

    """

    def __init__(self) -> None:
        self._lanes: dict[Lane, deque[Job]] = {lane: deque() for lane in Lane}
        self.waiting = 0

    def __iter__(self) -> Iterator[Job]:
        """Go through every waiting job."""
        return iter([job for lane in self._lanes.values() for job in lane])

    def add(self, job: Job) -> None:
        """Append a job to its lane."""
        self.waiting += 1
        self._lanes[job.lane].append(job)

    def withdraw(self, job: Job) -> bool:
        """Take a job back; ``False`` if it no longer waits."""
        try:
            self._lanes[job.lane].remove(job)
        except ValueError:
            return False
        self.waiting -= 1
        return True

    def next(self, lane: Lane, *, sending: bool = False) -> Job | None:
        """Return the first job of a lane that may start, ``None`` if none may.

        Args:
            lane: The lane.
            sending: A send is outstanding, so that no other may start (C3).

        """
        jobs = self._lanes[lane]
        if not sending:
            return jobs[0] if jobs else None
        return next((job for job in jobs if not effects.is_send(job.command.text)), None)

    def take(self, lane: Lane, *, sending: bool = False) -> Job:
        """Remove and return what :meth:`next` returns; something must be there."""
        job = self.next(lane, sending=sending)
        assert job is not None
        self._lanes[lane].remove(job)  # by identity: no two jobs are equal
        self.waiting -= 1
        return job

    def clear(self) -> None:
        """Forget every job."""
        for lane in self._lanes.values():
            lane.clear()
        self.waiting = 0
