"""DAO's names for framebus' streams and life cycle: ``from framebus.compat import dao``.

Scripts that were written for DAO's ``dao`` run with this import in the place of theirs. What differs is listed in the
documentation, under "Coming from DAO".
"""

from typing import NoReturn

from framebus.compat.dao import double_buffer as daoDoubleBuffer  # noqa: N812 - DAO's name of the module
from framebus.compat.dao.component import daoComponent
from framebus.compat.dao.double_buffer import DoubleBuffer
from framebus.compat.dao.errors import DtypeMismatch, SegmentNotFound, Unavailable, refuse
from framebus.compat.dao.segment import shm
from framebus.compat.dao.state_machine import ComponentState, daoComponentStateMachine
from framebus.compat.dao.statuses import DAO_ERROR, DAO_NOTREADY, DAO_OVERWRITE, DAO_SUCCESS, DAO_TIMEOUT

__all__ = [
    "DAO_ERROR",
    "DAO_NOTREADY",
    "DAO_OVERWRITE",
    "DAO_SUCCESS",
    "DAO_TIMEOUT",
    "ComponentState",
    "DoubleBuffer",
    "DtypeMismatch",
    "SegmentNotFound",
    "Unavailable",
    "daoComponent",
    "daoComponentStateMachine",
    "daoDoubleBuffer",
    "shm",
]

_PRINTS_NOTHING = "framebus prints nothing that a level could hold back; leave the line out"
_ELSEWHERE = {
    "daoLib": f"DAO's C library is not used; {_PRINTS_NOTHING} if it sets the log level",
    "setLogLevel": _PRINTS_NOTHING,
    "getLogLevel": _PRINTS_NOTHING,
    "daoLog": "components log to logging.getLogger(name); logging.basicConfig() shows that",
    "daoEvent": "framebus has no log broker yet; what fails stands in process records: framebus.process.records()",
    "daoProxy": "framebus sends nothing over the network yet; DAO's own programs serve the same files",
    "daoDb": "parameters are in framebus.Params",
}


def __getattr__(name: str) -> NoReturn:
    refuse("dao", name, _ELSEWHERE)
