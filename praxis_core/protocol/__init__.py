"""The vocabulary of protocols: how they are written, defined and found, and what their life is.

What an author writes with::

    from praxis_core.protocol import Needs, operator, protocol, run, step

What reads it: :func:`define`, :func:`load_protocol`, :func:`validate_parameters`.
"""

from praxis_core.protocol.asking import operator
from praxis_core.protocol.authoring import protocol, step
from praxis_core.protocol.definition import (
    AssetRequirement,
    ProtocolDefinition,
    StepDefinition,
    define,
    parameter_model,
    validate_parameters,
)
from praxis_core.protocol.loading import load_protocol
from praxis_core.protocol.needs import Needs
from praxis_core.protocol.running import run

__all__ = [
    "AssetRequirement",
    "Needs",
    "ProtocolDefinition",
    "StepDefinition",
    "define",
    "load_protocol",
    "operator",
    "parameter_model",
    "protocol",
    "run",
    "step",
    "validate_parameters",
]
