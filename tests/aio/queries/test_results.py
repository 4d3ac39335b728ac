"""Results: plain values that say what the module said."""

from __future__ import annotations

import dataclasses
import pickle

import pytest

from aiobc9x.aio.queries import results
from aiobc9x.aio.queries.results import PingReply, PingReport, Resolution


@pytest.mark.parametrize(
    "kind", [c for c in vars(results).values() if dataclasses.is_dataclass(c)], ids=str
)
def test_results_are_frozen_and_pickle(kind: type) -> None:
    """They can be shared, compared, hashed and sent to another process."""
    fields = [field.name for field in dataclasses.fields(kind)]
    one, other = (kind(*range(len(fields))) for _ in range(2))
    assert one == other
    assert hash(one) == hash(other)
    assert pickle.loads(pickle.dumps(one)) == one
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError)):
        setattr(one, fields[0], None)


def test_a_reply_without_time_is_a_timeout() -> None:
    """0 ms is a time."""
    assert PingReply().timed_out
    assert not PingReply("1.2.3.4", 32, 0, 64).timed_out


def test_reports_show_their_numbers() -> None:
    """What is printed while debugging names everything."""
    report = PingReport((PingReply(),), 1, 0, 1, None, None, None)
    assert "sent=1" in repr(report)
    assert "ttl_s=60" in repr(Resolution(("1.2.3.4",), 60))
