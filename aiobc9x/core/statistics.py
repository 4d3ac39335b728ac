"""Counters of one link.

Layer: core. Does no I/O, reads no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Statistics:
    """What has happened since the modem was opened; every counter only rises.

    Attributes:
        bytes_received: Bytes read from the link.
        bytes_sent: Bytes written to the link.
        commands: Command lines written.
        errors: Final results other than ``OK``.
        timeouts: Commands without a final result in time.
        urcs: Unsolicited result codes understood.
        unknown_lines: Lines that nobody awaited and nobody knew.
        damages: Stretches of bytes that could not be framed.
        recoveries: Times that commands and answers were brought back in step.
        resets: Restarts of the module.
        opens: Connections opened.
        open_failures: Connections that failed to open.
        closes: Closes confirmed by the module.
        reads: AT+QIRD sent.
        empty_reads: AT+QIRD that found nothing.
        sends: ``SEND OK`` received.
        send_failures: ``SEND FAIL`` received.
        payload_bytes_received: Bytes that sockets delivered.
        payload_bytes_sent: Bytes that the module has taken.
        buffer_overflows: ``"buff full"`` received.
        datagrams_lost: Datagrams lost to ``"buff full"`` or ``SEND FAIL``.
        incoming: Incoming connections accepted.
        incoming_full: ``"incoming full"`` received.
        unowned_bytes: Pushed bytes of sockets that nobody owned.
        nvram_writes: Settings written that the module keeps in flash memory.

    """

    bytes_received: int = 0
    bytes_sent: int = 0
    commands: int = 0
    errors: int = 0
    timeouts: int = 0
    urcs: int = 0
    unknown_lines: int = 0
    damages: int = 0
    recoveries: int = 0
    resets: int = 0
    opens: int = 0
    open_failures: int = 0
    closes: int = 0
    reads: int = 0
    empty_reads: int = 0
    sends: int = 0
    send_failures: int = 0
    payload_bytes_received: int = 0
    payload_bytes_sent: int = 0
    buffer_overflows: int = 0
    datagrams_lost: int = 0
    incoming: int = 0
    incoming_full: int = 0
    unowned_bytes: int = 0
    nvram_writes: int = 0
