"""Bytes to frames and commands to bytes, without I/O, tasks or clocks.

Layer: wire. Imports ``spec`` and ``errors`` alone.
"""

import os

from aiobc9x.wire import _form

_form.choose(__name__, __path__[0], os.environ)
