r"""Run one virtual module: bytes from the host in, bytes to the host out.

Layer: sim. Does no I/O, reads no clock: ``now`` is passed in, and
:meth:`Module.deadline` says when the module wants to be called next. ::

    module = Module(SimOptions(), MemoryNetwork())
    module.power_on(now=0.0)
    module.feed(b"AT\r", now=0.0)
    module.take_output()            # b"\r\nRDY\r\nAT\r\r\nOK\r\n"

Command lines that arrive while a command is being carried out wait, and are handled in order,
each after the final result of the one before. They are echoed at once. What follows a send with
a prompt is the payload of that send, so it is not echoed as a command line.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NoReturn

from aiobc9x.sim.board import Board, Statistics
from aiobc9x.sim.commands import SocketCommands
from aiobc9x.sim.energy import Energy
from aiobc9x.sim.faults import COMMAND_KINDS, Fault, FaultKind
from aiobc9x.sim.general import General
from aiobc9x.sim.interface import Network
from aiobc9x.sim.lines import LineEditor, may_prompt
from aiobc9x.sim.nvram import Nvram
from aiobc9x.sim.options import SimOptions
from aiobc9x.sim.params import Command, Refused, parse_command
from aiobc9x.sim.radio import Radio
from aiobc9x.sim.sends import Sends
from aiobc9x.sim.services import Services
from aiobc9x.sim.sockets import Sockets
from aiobc9x.spec import CME_TEXT, OPEN_TIME_DEFAULT_S, Err

NOTE_COMMANDS = ("+QI", "+QPING", "+QNTP", "+QNTF")
"""How the commands of the note begin. A refusal of one answers plain ``ERROR``, whatever AT+CMEE
says, and its reason is kept for AT+QIGETERROR (§2.2.12)."""

HOST_AT_FAULT = frozenset(
    (Err.INVALID_PARAMETERS, Err.BUSY, Err.DNS_BUSY, Err.IDENTITY_IN_USE, Err.NOT_ALLOWED)
)
"""Refusals that a host never gets if it keeps to the note; each counts as a broken rule."""


class Module:
    """One virtual module.

    Args:
        options: How the module behaves.
        network: The far side of the module's sockets.
        nvram: The settings that survive a restart. Pass the same object to another module to
            restart this one with its memory.

    Attributes:
        sockets: The connectIDs in use.
        radio: Registration, attach and context.
        asleep: Whether the module is in deep sleep.

    """

    def __init__(self, options: SimOptions, network: Network, nvram: Nvram | None = None) -> None:
        if nvram is None:
            nvram = Nvram.load(options.nvram) if options.nvram else Nvram()
        self.board: Board = Board(options, network, nvram)
        self.board.restart = self._restart
        self._outage_ends: float | None = None
        self.sockets: Sockets = Sockets(self.board)
        self.radio: Radio = Radio(self.board)
        self.radio.lost = self.sockets.network_lost
        self._sends = Sends(self.board, self.sockets)
        self._sends.done = self._command_done
        self.sockets.receiver.data_mode = lambda: self._sends.in_data_mode
        self.sockets.receiver.rouse = self._wake_up
        self._services = Services(self.board, self.sockets, self.radio.has_context)
        self._general = General(self.board)
        self._general.psm_changed = self.radio.announce
        self._services.set_clock = self._general.set_clock
        commands = SocketCommands(self.board, self.sockets, self.radio.has_context)
        self._handlers: Mapping[str, Callable[[Command], None]] = {
            **self._general.handlers,
            **self.radio.handlers,
            **commands.handlers,
            **self._sends.handlers,
            **self._services.handlers,
        }
        self._input = bytearray()
        self._editor = LineEditor(self.board)
        self._current = ""
        self._busy = False
        self.asleep: bool = False
        self._last_heard = -math.inf
        self._answered = -math.inf

    @property
    def nvram(self) -> Nvram:
        """What the module remembers without power."""
        return self.board.nvram

    @property
    def statistics(self) -> Statistics:
        """Counters since the module was made."""
        return self.board.statistics

    def energy(self, now: float) -> Energy:
        """Return what the time since power-on went into."""
        self._advance(now)
        return self.board.energy.read(now)

    @property
    def wake(self) -> Callable[[], None]:
        """Called after each event of the network: the caller then takes output and deadline."""
        return self.sockets.wake

    @wake.setter
    def wake(self, callback: Callable[[], None]) -> None:
        self.sockets.wake = callback

    def power_on(self, now: float) -> None:
        """Switch the module on; its banner comes after the boot time."""
        self.board.now = self.board.started = now
        self.board.energy.begin(now)
        self._last_heard = now
        self.board.timers.at(now + self.board.options.boot_time, self._boot)
        self._run_timers()

    def reset(self, now: float) -> None:
        """Reset the module, as its RESET pin does."""
        self._advance(now)
        self._restart()
        self._run_timers()

    def set_coverage(self, covered: bool, now: float) -> None:
        """Take the network away, which closes every socket, or give it back."""
        self._advance(now)
        self.radio.set_coverage(covered)
        self._run_timers()

    def deny(self, cause: int, now: float) -> None:
        """Have the network deny registration for a cause of 24.301, or take it again with 0."""
        self._advance(now)
        self.radio.deny(cause)
        self._run_timers()

    def deep_sleep(self, now: float) -> None:
        """Fall asleep at once, whatever AT+QSCLK says."""
        self._advance(now)
        self._fall_asleep()

    def say(self, line: str, now: float) -> None:
        """Print a line that nobody asked for."""
        self._advance(now)
        self.board.urc(line)

    def _boot(self) -> None:
        self.board.up = True
        if self.board.options.banner:
            self.board.urc(self.board.options.banner)
        self.radio.power_on()

    def _restart(self) -> None:
        board = self.board
        board.statistics.resets += 1
        self.sockets.lose(streams_only=False)
        board.timers.clear()
        board.up = False
        board.mute_until = -math.inf
        board.settings = type(board.settings)()
        board.lock_released = False
        board.energy.change(board.now, asleep=False)
        board.last_error = 0
        self._input.clear()
        self._editor.clear()
        self._busy = self.asleep = False
        self._sends.reset()
        self._services.reset()
        self.radio.reset()
        self._general.reset()
        board.timers.at(board.now + board.options.boot_time, self._boot)
        # An outage goes on although the module has restarted.
        self._await_coverage()

    def _await_coverage(self) -> None:
        if self._outage_ends is not None:
            self.board.timers.at(self._outage_ends, self._end_outage)

    def _end_outage(self) -> None:
        self._outage_ends = None
        self.radio.set_coverage(True)

    def _sleep_at(self) -> float | None:
        """Return when the module falls asleep if nothing happens, if it may."""
        may = self.board.settings.sleep_clock == 1 and self.board.up and not self.asleep
        if not may or self._busy or self._sends.pending or self._sends.in_data_mode:
            return None
        lock = 0.0 if self.board.lock_released else self.board.options.sleep_after
        sleep_at = self._last_heard + lock
        if not self.board.settings.psm.on:
            return sleep_at
        if (active_s := self.radio.active_s) is None:
            return None  # the network grants no power saving, so there is no deep sleep
        return max(sleep_at, self.board.on_air_at + active_s)

    def _fall_asleep(self) -> None:
        if self.asleep or not self.board.up:
            return
        if self.board.settings.nbiot_event:
            self.board.urc('+QNBIOTEVENT: "ENTER DEEPSLEEP"')
        self.asleep = True
        self.board.energy.change(self.board.now, asleep=True)
        # TCP connections end without a URC, UDP sockets stay (§2.2.1, note 3; N32).
        self.sockets.lose(streams_only=True)
        self.board.settings.open_time = OPEN_TIME_DEFAULT_S  # §2.2.11

    def _wake_up(self) -> None:
        if not self.asleep:
            return
        self.asleep = False
        self.board.energy.change(self.board.now, asleep=False)
        self._last_heard = self.board.now
        if self.board.settings.wakeup_urc:
            self.board.urc("+QATWAKEUP")
        if self.board.settings.nbiot_event:
            self.board.urc('+QNBIOTEVENT: "EXIT DEEPSLEEP"')

    def feed(self, data: bytes, now: float) -> None:
        """Take bytes that the host has sent, cut anywhere."""
        self._advance(now)
        self.statistics.bytes_in += len(data)
        if self.board.mute:
            return
        self._last_heard = now
        self.board.lock_released = False
        if self.asleep:
            data = self._eaten(data)
        # §2.1.2: a host must wait for the final result before it writes another command.
        too_early = self._busy and not self._sends.in_data_mode and data.strip(b"\r\n")
        self._input += data
        self._pump()
        if too_early or self._editor.lines:
            self.statistics.broken_rules += 1
        self._run_timers()

    def _eaten(self, data: bytes) -> bytes:
        """Drop the line that only wakes the module (F48); return what stands after it."""
        end = data.find(b"\r")
        if end < 0:
            return b""
        self.board.later(self.board.options.wake_time, self._wake_up)
        if self.board.options.wake_time <= 0:
            self._wake_up()
            return data[end + 1 :]
        return b""

    def tick(self, now: float) -> None:
        """Do what is due at ``now``."""
        self._advance(now)
        self._pump()
        self._run_timers()

    def deadline(self) -> float | None:
        """Return when :meth:`tick` is due next, or ``None``."""
        due = [
            time for time in (self.board.timers.deadline(), self._sleep_at()) if time is not None
        ]
        return min(due, default=None)

    @property
    def output_pending(self) -> int:
        """Bytes that wait for :meth:`take_output`."""
        return len(self.board.output)

    @property
    def input_pending(self) -> int:
        """Bytes of the host that wait for earlier commands to end."""
        return len(self._input) + sum(map(len, self._editor.lines))

    def take_output(self, most: int | None = None) -> bytes:
        """Take up to ``most`` bytes of what the module says."""
        output = self.board.output
        taken = bytes(output[:most])
        del output[:most]
        self.statistics.bytes_out += len(taken)
        if taken:
            self._pump()
            self._run_timers()
        return taken

    def _advance(self, now: float) -> None:
        """Run each timer that was due before ``now``, with the time set to when it was due."""
        while (timer := self.board.timers.pop_due(now)) is not None:
            self.board.now = max(self.board.now, timer.when)
            if timer.callback is not None:
                timer.callback()
        self.board.now = max(self.board.now, now)
        sleep_at = self._sleep_at()
        if sleep_at is not None and sleep_at <= now:
            self._fall_asleep()

    def _run_timers(self) -> None:
        while True:
            self._advance(self.board.now)
            self.sockets.regulate_all()
            due = self.board.timers.deadline()
            if due is None or due > self.board.now:
                return

    def _pump(self) -> None:
        """Turn input into payload and lines, and begin the next command if none is going on."""
        while self._input and not self.board.flooded:
            if self._sends.in_data_mode:
                del self._input[: self._sends.take(bytes(self._input))]
            elif self._awaits_prompt():
                break
            else:
                del self._input[: self._editor.take(bytes(self._input))]
            self._begin()
        self._begin()

    def _awaits_prompt(self) -> bool:
        """Tell whether what follows may be payload of a command that isn't done."""
        current = [self._current] if self._busy else []
        return any(may_prompt(line) for line in (*current, *self._editor.lines))

    def _begin(self) -> None:
        if self._busy or not self._editor.lines or self.board.flooded:
            return
        line = self._editor.lines.popleft()
        # A relative doesn't hear a command that follows an answer at once (F31).
        if self.board.now < self._answered + self.board.options.deaf_time:
            return
        self._busy, self._current = True, line
        latency = self.board.options.latency
        if latency > 0:
            self.board.later(latency, self._execute)
        else:
            self._execute()

    def _execute(self) -> None:
        line = self._current
        self.statistics.commands += 1
        self.board.note(">", line)
        fault = self.board.faults.strike(COMMAND_KINDS, line)
        if fault is not None and self._suffer(fault):
            self._command_done()
            return
        command = parse_command(line[2:])
        try:
            handler = self._handlers.get(command.name)
            if handler is None or len(line) > self.board.options.line_limit:
                _refuse(command)
            handler(command)
            if _is_of_note(command) and command.name != "+QIGETERROR":
                self.board.last_error = Err.OK
        except Refused as refused:
            self._say_error(command, refused)
        if not self._sends.in_data_mode:
            self._command_done()

    def _command_done(self) -> None:
        self._busy = False
        self._answered = self.board.now
        self._last_heard = self.board.now
        self.board.later(0, self._pump)

    def _say_error(self, command: Command, refused: Refused) -> None:
        self.statistics.errors += 1
        self.statistics.broken_rules += refused.err in HOST_AT_FAULT
        if refused.err is not None:
            self.board.last_error = refused.err
        # 100 is "unknown" (27.007, 9.2).
        code = refused.cme if refused.cme is not None else 100
        level = (
            0
            if _is_of_note(command) or not command.name.startswith("+")
            else self.board.settings.cmee
        )
        errors = ("ERROR", f"+CME ERROR: {code}", f"+CME ERROR: {CME_TEXT.get(code, 'unknown')}")
        self.board.line(errors[level])

    def _suffer(self, fault: Fault) -> bool:
        """Let a fault of a command strike; return whether it takes the command's place."""
        board = self.board
        match fault.kind:
            case FaultKind.ERROR:
                board.last_error = Err.UNKNOWN
                board.line("ERROR")
            case FaultKind.SILENCE | FaultKind.STUCK:
                stuck = fault.kind is FaultKind.STUCK
                board.mute_until = math.inf if stuck else board.now + fault.delay_s
            case FaultKind.RESET:
                self._restart()
            case FaultKind.NETWORK_DOWN:
                self.radio.set_coverage(False)
                self._outage_ends = board.now + fault.delay_s if fault.delay_s else None
                self._await_coverage()
                return False
        return True


def _is_of_note(command: Command) -> bool:
    return command.name.startswith(NOTE_COMMANDS)


def _refuse(command: Command) -> NoReturn:
    """Refuse an unknown or overlong command."""
    raise Refused(Err.INVALID_PARAMETERS if _is_of_note(command) else None)
