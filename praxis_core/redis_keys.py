"""Every key that Praxis keeps in Redis, and how long it lives. No other module spells one.

::

    praxis:run:{run}:state            hash     one field per PraxisState key; no expiry before the
                                               run has ended, then the retention of the settings
    praxis:run:{run}:state:meta       hash     epoch, ended, archived, empty, recorded; same life
    praxis:run:{run}:state:record     hash     what the run's own accesses gave; the same life
    praxis:run:{run}:state:act:{act}  string   what a write that may happen once answered; 120 s
    praxis:run:{run}:state:changes    channel  one message per write: {"op": "set", "keys": [...]}
    praxis:workcell:{name}:status     hash     one field per device, JSON; expires with its run
    praxis:workcell:{name}:changes    channel  one message per change of a device's status
    praxis:lock:asset:{asset}         string   JSON: holder, attempt, request, token, since;
                                               expires unless renewed
    praxis:lock:reserved              hash     one field per asset, JSON: holder, since; permanent,
                                               a copy of the open claims in Postgres
    praxis:lock:waiting               hash     one field per request that waits, JSON; expires
                                               unless somebody goes on asking
    praxis:lock:released:{request}    string   this lease was given back; expires as it would have
    praxis:lock:counter               integer  the last token or ticket; permanent
"""

from __future__ import annotations

from uuid import UUID

PREFIX = "praxis"

PERMANENT = frozenset({f"{PREFIX}:lock:counter", f"{PREFIX}:lock:reserved"})
"""Keys that never expire."""


def run_state(run_id: UUID) -> str:
    """Hash with one field per key of the run's PraxisState."""
    return f"{PREFIX}:run:{run_id}:state"


def run_state_meta(run_id: UUID) -> str:
    """Hash that says whether the run has ended."""
    return f"{PREFIX}:run:{run_id}:state:meta"


def run_state_record(run_id: UUID) -> str:
    """Hash with what each access of the run itself to its PraxisState gave."""
    return f"{PREFIX}:run:{run_id}:state:record"


def run_state_act(run_id: UUID, act: str) -> str:
    """Answer of one write that must not happen twice, for a writer that could not hear it."""
    return f"{PREFIX}:run:{run_id}:state:act:{act}"


def run_state_changes(run_id: UUID) -> str:
    """Channel on which each write to the run's PraxisState is announced."""
    return f"{PREFIX}:run:{run_id}:state:changes"


def workcell_status(workcell: str) -> str:
    """Hash with one field per device of the workcell."""
    return f"{PREFIX}:workcell:{workcell}:status"


def workcell_changes(workcell: str) -> str:
    """Channel on which each change of a device's status is announced."""
    return f"{PREFIX}:workcell:{workcell}:changes"


def asset_lock(asset: str) -> str:
    """The lease on one asset; of the empty name: what stands before each asset's name."""
    return f"{PREFIX}:lock:asset:{asset}"


def lock_reserved() -> str:
    """Hash with one field per asset that is reserved."""
    return f"{PREFIX}:lock:reserved"


def lock_waiting() -> str:
    """Hash with one field per request that waits for assets."""
    return f"{PREFIX}:lock:waiting"


def lock_released(request: str) -> str:
    """Mark that a lease was given back, for a holder that could not hear so."""
    return f"{PREFIX}:lock:released:{request}"


def lock_counter() -> str:
    """Counter of tokens and tickets."""
    return f"{PREFIX}:lock:counter"
