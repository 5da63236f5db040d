"""WITH WHAT: the Prefect blocks of Praxis. Importing this module registers their types."""

from blocks.database import PraxisDatabase
from blocks.mail import PraxisEmail
from blocks.state_store import PraxisStateStore
from blocks.workcell import Workcell

__all__ = ["PraxisDatabase", "PraxisEmail", "PraxisStateStore", "Workcell"]
