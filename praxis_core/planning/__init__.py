"""What is decided before a run: whether its parameters are right, and which assets it gets."""

from praxis_core.planning.binding import Binding, BindingResult, bind, match
from praxis_core.planning.checks import CheckedRequest, check_request, parameter_problems

__all__ = [
    "Binding",
    "BindingResult",
    "CheckedRequest",
    "bind",
    "check_request",
    "match",
    "parameter_problems",
]
