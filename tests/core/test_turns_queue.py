"""JobQueue: the commands that wait, by lane."""

import pytest

from aiobc9x.core.events import Job, Lane
from aiobc9x.core.turns import JobQueue
from aiobc9x.wire.commands.base import Raw
from aiobc9x.wire.commands.radio import At


def filled(*jobs: Job) -> JobQueue:
    """Make a queue that holds jobs."""
    queue = JobQueue()
    for job in jobs:
        queue.add(job)
    return queue


def test_first_come_first_served() -> None:
    """Within a lane; the lanes know nothing of each other."""
    one, two, close = Job(At()), Job(At()), Job(At(), Lane.CLOSE)
    queue = filled(one, two, close)
    assert queue.next(Lane.COMMAND) is one
    assert [queue.take(Lane.COMMAND), queue.take(Lane.COMMAND)] == [one, two]
    assert queue.take(Lane.CLOSE) is close
    assert [queue.next(lane) for lane in Lane] == [None, None, None]


def test_a_send_waits_while_one_is_outstanding() -> None:
    """C3: the module would refuse it; others overtake it."""
    send, other = Job(Raw('AT+QISEND=0,1,"a"')), Job(At())
    queue = filled(send, other)
    assert queue.next(Lane.COMMAND) is send
    assert queue.next(Lane.COMMAND, sending=True) is other
    assert queue.take(Lane.COMMAND, sending=True) is other
    assert queue.next(Lane.COMMAND, sending=True) is None
    assert queue.take(Lane.COMMAND) is send


def test_a_job_can_be_taken_back_once() -> None:
    """One that has begun, or was never there, can't."""
    job, begun = Job(At()), Job(At(), Lane.RECOVERY)
    queue = filled(job, begun)
    queue.take(Lane.RECOVERY)
    assert [queue.withdraw(job), queue.withdraw(job), queue.withdraw(begun)] == [True, False, False]
    assert list(queue) == []


def test_all_are_listed_and_can_be_forgotten() -> None:
    """Whatever the lane: the link may be gone."""
    jobs = {Job(At(), lane) for lane in Lane}
    queue = filled(*jobs)
    assert set(queue) == jobs
    queue.clear()
    assert set(queue) == set()


def test_taking_from_an_empty_lane_is_a_bug() -> None:
    """Whoever takes has looked before."""
    with pytest.raises(AssertionError):
        JobQueue().take(Lane.COMMAND)
