"""WHEN: protocols compiled to Prefect flows, and the protocol library.

from flows import compile_protocol
"""

from flows.compile import compile_protocol

__all__ = ["compile_protocol"]
