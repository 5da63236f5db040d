"""Ratios that `make bench` measures and writes to docs/benchmarks.md."""
