"""Tell whether the module is one that the application note applies to.

Layer: aio.

The note's commands are spoken by BC65 and BC92, and by their relatives BC25, BC26, BC66 and
BC660K, whose logs and firmware have the same grammar and limits. Other modules of the same maker
have another socket interface (BC95, BC28, BC35, BC68: AT+NSOCR) or other limits and settings
(BG96, EC2x, M66: no ``showlength``). A module with an unknown name is tried, and refused only if
it lacks a setting that nothing works without.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from aiobc9x.patterns import lazy_pattern

_OURS: Final = lazy_pattern(
    r"(?<![A-Z0-9])BC(?:65|92|25|26|66|660)(?![0-9])|VIRTUAL|SIMULAT", re.IGNORECASE
)

_OTHERS: Final = lazy_pattern(
    r"(?<![A-Z0-9])(?:"
    r"BC(?:20|28|32|35|68|95)|(?:BG|EC|EG|EM|RG|RM|UC|UG)[0-9]{2}|"  # Quectel
    r"M(?:10|26|35|66|72|85|95)|MC(?:20|25|60|90)|"
    r"SIM[0-9]{3,4}|A[78][0-9]{3}|"  # SIMCom
    r"(?:SARA|LARA|LISA|TOBY|LENA|LEXI|ALEX)-[A-Z][0-9]|"  # u-blox
    r"(?:ME|LE|HE|UE|LN|FN)9[0-9]{2}|(?:ML|GL|UL|GE|HE)86[0-9]|[MN]E310|"  # Telit
    r"(?:HL|WP|EM|MC|RC|AR)[0-9]{4}|"  # Sierra Wireless
    r"(?:BGS|EHS|ELS|PLS|EMS|PHS|EXS|TX)[0-9]{1,2}|"  # Cinterion
    r"NRF9[0-9]|GM0[0-9]|N(?:21|25|27|58|720)|L(?:610|620|716)|NL668|ML30[0-9]|"
    r"AIR[0-9]{3}|SLM[0-9]{3}|ESP(?:32|8266)"
    r")[A-Z0-9-]*",
    re.IGNORECASE,
)
"""Names of module families that gateways meet; letters after the number name a variant."""

_MAKERS: Final = lazy_pattern(
    r"SIMCOM|U-BLOX|TELIT|SIERRA|CINTERION|GEMALTO|THALES|NORDIC|SEQUANS|NEOWAY|FIBOCOM|HUAWEI|ZTE"
    r"|MEIG|ESPRESSIF|MURATA|SONY|ALTAIR|LUAT|CHINA MOBILE|GOSUNCN|WAVECOM|ERICSSON|NOKIA",
    re.IGNORECASE,
)


def is_ours(lines: Sequence[str]) -> bool:
    """Whether one of the lines names a module that the note applies to."""
    return any(_OURS.search(line) for line in lines)


def foreign_model(lines: Sequence[str]) -> str | None:
    """Return the model's name if the note does not apply to it; else ``None``.

    Args:
        lines: The module's answers to ATI, AT+CGMM and AT+CGMI.

    """
    if is_ours(lines):
        return None
    for line in lines:
        text = line.replace("_", " ")
        if found := _OTHERS.search(text):
            return found[0]
    for line in lines:
        if _MAKERS.search(line):
            return line.strip()
    return None
