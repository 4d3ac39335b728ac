"""Answer the commands about identity, echo, errors, clock and power saving.

Layer: sim. The revision has ``BC65VIRTUAL`` in it, so that a host can tell this module from a
real one.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable

from aiobc9x.sim.board import Board, PsmRequest
from aiobc9x.sim.params import Arguments, Command, Form, Refused
from aiobc9x.sim.services import zone

REVISION = "BC65VIRTUAL01"
IMEI = "866425033210987"
SERIAL_NUMBER = "MPQ20C10V0000042"

BAUD_RATES = (4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600)
"""What AT+IPR takes."""

CME_PARAMETERS = 50

COLD_CLOCK = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
"""What the clock says at power-on, before anything sets it."""


class General:
    """Commands that touch neither sockets nor the network.

    Attributes:
        psm_changed: Called when AT+CPSMS asks the network for something else.

    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self.psm_changed: Callable[[], None] = lambda: None
        self.handlers: dict[str, Callable[[Command], None]] = {
            "": self._nothing,
            "I": self._identify,
            "E": self._echo,
            "V1": self._nothing,
            "Q0": self._nothing,
            "Z": self._nothing,
            "&F": self._factory,
            "&W": self._nothing,
            "+CMEE": self._cmee,
            "+CGMI": lambda command: self._fixed(command, "Quectel"),
            "+CGMM": lambda command: self._fixed(command, "BC65"),
            "+CGMR": lambda command: self._fixed(command, f"Revision: {REVISION}"),
            "+CGSN": self._cgsn,
            "+CCLK": self._cclk,
            "+IPR": self._ipr,
            "+CPSMS": self._cpsms,
            "+CEDRXS": self._cedrxs,
            "+CEDRXRDP": self._cedrxrdp,
            "+QSCLK": self._qsclk,
            "+QNBIOTEVENT": self._qnbiotevent,
            "+QATWAKEUP": self._qatwakeup,
            "+QRELLOCK": self._qrellock,
            "+QRST": self._qrst,
        }
        self.handlers |= {"E0": self._echo, "E1": self._echo, "I0": self._identify}
        self.reset()

    def reset(self) -> None:
        """Forget what doesn't survive a restart."""
        self._clock = COLD_CLOCK
        self._clock_set_at = self._board.now
        self._edrx = ""

    def set_clock(self, time: datetime.datetime) -> None:
        """Set the clock, as AT+QNTP and AT+CCLK do."""
        self._clock, self._clock_set_at = time, self._board.now

    def _nothing(self, command: Command) -> None:
        if command.form is not Form.EXEC:
            raise Refused
        self._board.answer()

    def _fixed(self, command: Command, text: str) -> None:
        self._board.answer(*([] if command.form is Form.TEST else [text]))

    def _identify(self, command: Command) -> None:
        self._board.answer("Quectel", "BC65", f"Revision: {REVISION}")

    def _echo(self, command: Command) -> None:
        if command.form is not Form.EXEC:
            raise Refused
        self._board.settings.echo = command.name == "E1"
        self._board.answer()

    def _factory(self, command: Command) -> None:
        self._board.settings.echo = True
        self._board.settings.cmee = 0
        self._board.answer()

    def _cmee(self, command: Command) -> None:
        settings = self._board.settings
        if command.form is Form.TEST:
            self._board.answer("+CMEE: (0,1,2)")
        elif command.form is Form.READ:
            self._board.answer(f"+CMEE: {settings.cmee}")
        else:
            settings.cmee = _write(command, 1, 1).number(0, (0, 1, 2))
            self._board.answer()

    def _cgsn(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CGSN: (0,1)")
        elif command.form is Form.WRITE and _write(command, 1, 1).number(0, (0, 1)) == 1:
            self._board.answer(f"+CGSN: {IMEI}")
        else:
            self._board.answer(SERIAL_NUMBER)

    def _cclk(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer()
        elif command.form is Form.WRITE:
            self.set_clock(_parse_clock(_write(command, 1, 1).raw(0)))
            self._board.answer()
        else:
            running = datetime.timedelta(seconds=self._board.now - self._clock_set_at)
            time = self._clock + running
            self._board.answer(f'+CCLK: "{time:%y/%m/%d,%H:%M:%S}{zone(time)}"')

    def _ipr(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer(f"+IPR: ({','.join(map(str, BAUD_RATES))})")
        elif command.form is Form.WRITE:
            baud = _write(command, 1, 1).number(0, BAUD_RATES)
            self._board.nvram.baud = baud
            self._board.nvram.save()
            self._board.answer()
        else:
            self._board.answer(f"+IPR: {self._board.baud or 115200}")

    def _cpsms(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+CPSMS: (0,1),,,(00000000-11111111),(00000000-11111111)")
        elif command.form is Form.WRITE:
            given = _write(command, 1, 5)
            on = given.number(0, (0, 1))
            request = PsmRequest()
            periodic = given.raw(3) or request.periodic_tau
            active = given.raw(4) or request.active_time
            self._board.settings.psm = PsmRequest(on, periodic, active)
            self._board.answer()
            self.psm_changed()
        else:
            psm = self._board.settings.psm
            self._board.answer(f'+CPSMS: {psm.on},,,"{psm.periodic_tau}","{psm.active_time}"')

    def _cedrxs(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer('+CEDRXS: (0-3),(5),("0000"-"1111")')
        elif command.form is Form.WRITE:
            given = _write(command, 1, 3)
            on = given.number(0, range(4)) in (1, 2)
            self._edrx = (given.raw(2) or "0010") if on else ""
            self._board.answer()
        else:
            self._board.answer(*([f'+CEDRXS: 5,"{self._edrx}"'] if self._edrx else []))

    def _cedrxrdp(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer()
        elif self._edrx:
            granted = self._board.options.granted_edrx or self._edrx
            self._board.answer(f'+CEDRXRDP: 5,"{self._edrx}","{granted}","0011"')
        else:
            self._board.answer("+CEDRXRDP: 0")

    def _qsclk(self, command: Command) -> None:
        settings = self._board.settings
        if command.form is Form.TEST:
            self._board.answer("+QSCLK: (0,1,2)")
        elif command.form is Form.READ:
            self._board.answer(f"+QSCLK: {settings.sleep_clock}")
        else:
            settings.sleep_clock = _write(command, 1, 1).number(0, (0, 1, 2))
            self._board.answer()

    def _qnbiotevent(self, command: Command) -> None:
        settings = self._board.settings
        if command.form is Form.TEST:
            self._board.answer("+QNBIOTEVENT: (0,1),(1)")
        elif command.form is Form.READ:
            self._board.answer(f"+QNBIOTEVENT: {int(settings.nbiot_event)},1")
        else:
            settings.nbiot_event = bool(_write(command, 1, 2).number(0, (0, 1)))
            self._board.answer()

    def _qatwakeup(self, command: Command) -> None:
        settings = self._board.settings
        if command.form is Form.TEST:
            self._board.answer("+QATWAKEUP: (0,1)")
        elif command.form is Form.READ:
            self._board.answer(f"+QATWAKEUP: {int(settings.wakeup_urc)}")
        else:
            settings.wakeup_urc = bool(_write(command, 1, 1).number(0, (0, 1)))
            self._board.answer()

    def _qrellock(self, command: Command) -> None:
        self._board.lock_released = command.form is Form.EXEC
        self._board.answer()

    def _qrst(self, command: Command) -> None:
        if command.form is Form.TEST:
            self._board.answer("+QRST: (1)")
            return
        _write(command, 1, 2).number(0, (1,))
        self._board.answer()
        self._board.restart()


def _write(command: Command, least: int, most: int) -> Arguments:
    """Return the parameters of a write command; anything else is ``+CME ERROR: 50``."""
    if command.form is not Form.WRITE:
        raise Refused(cme=CME_PARAMETERS)
    return Arguments(command.arguments, least, most, err=None)


def _parse_clock(text: str) -> datetime.datetime:
    """Read ``yy/MM/dd,hh:mm:ss`` with an optional zone in quarters of an hour."""
    quarters = text[17:]
    try:
        offset = datetime.timedelta(minutes=15 * int(quarters or "0"))
        local = datetime.datetime.strptime(text[:17], "%y/%m/%d,%H:%M:%S")
        return local.replace(tzinfo=datetime.timezone(offset))
    except ValueError as error:
        raise Refused(cme=CME_PARAMETERS) from error
