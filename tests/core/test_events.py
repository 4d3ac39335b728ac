"""Events and jobs: what a session is asked, and what it reports."""

import dataclasses
import inspect
from typing import get_args

import pytest

from aiobc9x.core.events import Answer, DataReceived, Event, Finished, Job, Lane
from aiobc9x.core.slots import Slot
from aiobc9x.spec import ServiceType
from aiobc9x.wire.commands.tcpip import Qistate


def test_two_jobs_are_never_the_same() -> None:
    """The same command queued twice is two jobs, each with its own answer."""
    assert Job(Qistate()) != Job(Qistate())
    assert len({Job(Qistate()), Job(Qistate())}) == 2


def test_a_job_is_an_ordinary_command_unless_told() -> None:
    """It waits its turn, takes the note's time, and an ERROR is explained."""
    job = Job(Qistate())
    assert (job.lane, job.data, job.limit, job.explain) == (Lane.COMMAND, None, None, True)


def test_no_answer_is_no_success() -> None:
    """An answer says that it is one."""
    assert Answer() == Answer(ok=False, lines=(), err=None, cme=None, failure=None)


@pytest.mark.parametrize("kind", get_args(Event), ids=lambda kind: str(kind.__name__))
def test_an_event_never_changes(kind: type) -> None:
    """Several listeners get the same one."""
    names = tuple(inspect.signature(kind).parameters)
    event = kind(*names)
    for name in names:
        with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
            setattr(event, name, None)
        assert getattr(event, name) == name
    assert names
    assert kind.__doc__


def test_events_compare_by_what_they_say() -> None:
    """The slot is compared by identity, the rest by value."""
    slot, other = Slot(0, 1, ServiceType.TCP), Slot(0, 1, ServiceType.TCP)
    job = Job(Qistate())
    assert DataReceived(slot, b"a") == DataReceived(slot, b"a") != DataReceived(other, b"a")
    assert Finished(job, Answer(ok=True)) == Finished(job, Answer(ok=True))
