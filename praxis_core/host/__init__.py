"""The process that owns the devices of one workcell, and how runs reach it."""
