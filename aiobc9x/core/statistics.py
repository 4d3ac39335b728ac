"""Count what happens on one link.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

from typing import Literal

from aiobc9x.slotted import slotted


@slotted()
class Statistics:
    """What has happened since the modem was opened; every counter only rises.

    Attributes:
        bytes_received: Bytes read from the link.
        bytes_sent: Bytes written to the link.
        commands: Command lines written.
        errors: Final results other than ``OK``.
        timeouts: Commands without a final result in time. A ``SEND OK`` that did not come is
            not counted here.
        urcs: Unsolicited result codes understood.
        unknown_lines: Lines that were no URC and belonged to no answer.
        damages: Stretches of bytes that could not be framed.
        recoveries: Times that commands and answers were brought back in step.
        link_losses: Times that the port was lost, or given up because the module was silent.
        returns: Times that the modem came back after that.
        reset_hooks: Calls of the user's ``reset`` hook.
        resets: Restarts of a module whose answers matched our commands before, with or
            without a boot banner.
        opens: Sockets opened: TCP, UDP and listeners.
        open_failures: Sockets that failed to open.
        closes: Sockets closed here, once the module has confirmed it.
        reads: AT+QIRD sent.
        empty_reads: AT+QIRD that found nothing.
        sends: ``SEND OK`` received, doubled ones left out.
        sends_inline: Sends as text on the command line.
        sends_hex: Sends as hex digits on the command line.
        sends_fixed: Sends of fixed length, after a prompt.
        send_failures: ``SEND FAIL`` received.
        payload_bytes_received: Bytes that sockets delivered.
        payload_bytes_sent: Bytes that the module has taken.
        buffer_overflows: ``"buff full"`` received.
        datagrams_lost: Datagrams lost by ``"buff full"``, by ``SEND FAIL``, or because bytes or
            answers got lost on the line.
        incoming: Incoming connections accepted.
        incoming_full: ``"incoming full"`` received.
        unowned_bytes: Pushed bytes of sockets that had no owner here, for example those of a
            program that crashed (F45).
        nvram_writes: Settings written that the module keeps in flash memory.
        wakes: Times that the module slept and was woken before a command.
        trace_losses: Records that a trace lacks, because its file could not be written.

    """

    # Plain integers, without a lock: only the loop that owns the modem counts.
    bytes_received: int = 0
    bytes_sent: int = 0
    commands: int = 0
    errors: int = 0
    timeouts: int = 0
    urcs: int = 0
    unknown_lines: int = 0
    damages: int = 0
    recoveries: int = 0
    link_losses: int = 0
    returns: int = 0
    reset_hooks: int = 0
    resets: int = 0
    opens: int = 0
    open_failures: int = 0
    closes: int = 0
    reads: int = 0
    empty_reads: int = 0
    sends: int = 0
    sends_inline: int = 0
    sends_hex: int = 0
    sends_fixed: int = 0
    send_failures: int = 0
    payload_bytes_received: int = 0
    payload_bytes_sent: int = 0
    buffer_overflows: int = 0
    datagrams_lost: int = 0
    incoming: int = 0
    incoming_full: int = 0
    unowned_bytes: int = 0
    nvram_writes: int = 0
    wakes: int = 0
    trace_losses: int = 0

    @property
    def traffic_bytes(self) -> int:
        """Bytes received and sent on the link."""
        return self.bytes_received + self.bytes_sent

    def count_send(self, form: Literal["inline", "hex", "fixed"], size_bytes: int) -> None:
        """Count a ``SEND OK``."""
        self.sends += 1
        self.payload_bytes_sent += size_bytes
        if form == "inline":
            self.sends_inline += 1
        elif form == "hex":
            self.sends_hex += 1
        else:
            self.sends_fixed += 1
