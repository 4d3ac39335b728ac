"""What a module spends its time on, which decides how long a battery lasts.

Layer: sim. Reads no clock: ``now`` is passed in.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Energy:
    """Seconds since power came.

    Attributes:
        awake_s: Awake, sending included.
        asleep_s: In deep sleep.
        sending_s: On the air with data of the host.

    """

    awake_s: float
    asleep_s: float
    sending_s: float


class EnergyMeter:
    """Adds up the seconds of each state."""

    def __init__(self) -> None:
        self._awake_s = self._asleep_s = self._sending_s = 0.0
        self._since: float | None = None
        self._asleep = False

    def begin(self, now: float) -> None:
        """Note that power has come."""
        self._since = now

    def change(self, now: float, *, asleep: bool) -> None:
        """Note that the module falls asleep, or wakes up."""
        reading = self.read(now)
        self._awake_s, self._asleep_s = reading.awake_s, reading.asleep_s
        self._since, self._asleep = now, asleep

    def sent(self, seconds: float) -> None:
        """Note that data are sent for so long."""
        self._sending_s += seconds

    def read(self, now: float) -> Energy:
        """Return the seconds until now."""
        passed = 0.0 if self._since is None else now - self._since
        awake, asleep = (0.0, passed) if self._asleep else (passed, 0.0)
        return Energy(self._awake_s + awake, self._asleep_s + asleep, self._sending_s)
