"""HOW ONCE: the Prefect tasks of Praxis. They are thin: they call the core."""

from tasks.run_step import run_step

__all__ = ["run_step"]
