"""Praxis: laboratory protocols that remember what physically happened.

Each room has its own door; what a protocol's author needs is behind two of them::

    from praxis_core.protocol import protocol, run, step
    from praxis_core.state import PraxisState
"""
