"""What a host counts of its commands, and tells Prometheus of itself."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from time import time
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_PLAIN_0_0_4,
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from praxis_core.errors import CommandInDoubt
from praxis_core.journal.record import Journal
from praxis_core.protocol.command import Command, Outcome
from praxis_core.workcell.live_status import DeviceState
from praxis_core.workcell.meter import Stopwatch
from praxis_core.workcell.runtime import WorkcellRuntime

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
"""Of what Prometheus is told; each of its versions reads this one."""

CALL_SECONDS = (0.01, 0.05, 0.2, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
"""Upper ends of the histogram of calls: from a question to a device to an incubation."""
OVERHEAD_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1, 5, 30)
"""The same of what a command takes beside them: a commit, or a Postgres that is restarted."""

IN_DOUBT, REFUSED, UNWRITTEN = "in_doubt", "refused", "unwritten"
"""How a command ends that has no outcome: nobody knows; nothing was sent; it was not written."""

RUN_STATES = ("attached", "away", "lost")

# When each series began doubles their number, and says nothing here.
disable_created_metrics()  # type: ignore[no-untyped-call]  # the library's own


class CommandMetrics:
    """Counts what becomes of commands: the ``Meter`` of a host's runtime.

    Labels are what a workcell has a few of: its devices, their methods, kinds of errors. No run, no
    plate and no person is one: each value is a series that Prometheus keeps for good.
    """

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self._commands = Counter(
            "praxis_commands",
            "Commands that have come to their end; outcome: succeeded, failed, in_doubt, refused "
            "(nothing was sent), unwritten.",
            ("device", "method", "outcome"),
            registry=registry,
        )
        self._failures = Counter(
            "praxis_command_failures",
            "Commands that did not succeed, by the class of the error.",
            ("device", "error"),
            registry=registry,
        )
        self._retries = Counter(
            "praxis_command_retries",
            "Calls of a device after the first one of a command.",
            ("device", "method"),
            registry=registry,
        )
        self._calls = Histogram(
            "praxis_device_call_seconds",
            "How long calls of a device took, each try for itself.",
            ("device", "method"),
            registry=registry,
            buckets=CALL_SECONDS,
        )
        self._overhead = Histogram(
            "praxis_command_overhead_seconds",
            "What a command took in the host from when its turn came, without its calls.",
            ("kind",),
            registry=registry,
            buckets=OVERHEAD_SECONDS,
        )

    def called(self, command: Command, seconds: float) -> None:
        """Count a call of a device."""
        self._calls.labels(command.device, command.method).observe(seconds)

    def ended(self, command: Command, end: Outcome | Exception, watch: Stopwatch) -> None:
        """Count a command that has come to its end."""
        device, method = command.device, command.method
        word, error = _told(end, watch)
        self._commands.labels(device, method, word).inc()
        if error is not None:
            self._failures.labels(device, error).inc()
        if watch.calls > 1:
            self._retries.labels(device, method).inc(watch.calls - 1)
        if watch.calls and isinstance(end, Outcome):
            self._overhead.labels(command.kind.value).observe(watch.beside)


def _told(end: Outcome | Exception, watch: Stopwatch) -> tuple[str, str | None]:
    """Say in a word how a command ended, and with which error."""
    if isinstance(end, Outcome):
        error = None if end.error is None else end.error.type
        return end.status.value, None if error is None else error.rpartition(":")[2]
    name = type(end).__name__
    if isinstance(end, CommandInDoubt):
        return IN_DOUBT, name
    return UNWRITTEN if watch.calls else REFUSED, name


@dataclass(frozen=True, slots=True)
class HostFacts:
    """What is true of a host just now."""

    runtime: WorkcellRuntime
    journal: Journal
    runs: Callable[[], Sequence[Mapping[str, Any]]]
    """``Sessions.overview``."""
    watched: Callable[[], bool]
    epoch: int
    version: int
    """Of the workcell's definition."""
    since: float = field(default_factory=time)

    def collect(self) -> Iterable[Metric]:
        """Tell it."""
        runtime, writer = self.runtime, self.journal.writer
        yield single("praxis_host_epoch", "Number among the hosts of its workcell.", self.epoch)
        yield single("praxis_host_start_time_seconds", "Unix time of its beginning.", self.since)
        told = "1: a watchdog sees to it if this host dies."
        yield single("praxis_host_watched", told, self.watched())
        told = "Version of the definition that is served."
        yield single("praxis_workcell_version", told, self.version)
        told = "1: nothing is sent for any run."
        yield single("praxis_workcell_stopped", told, runtime.is_stopped)
        told = "1: another program has the devices, or nobody has looked since it had them."
        yield single("praxis_workcell_given_away", told, runtime.is_given_away)
        told = "Intents and outcomes that are not in Postgres yet."
        yield single("praxis_journal_queue", told, writer.waiting)
        told = "For how long the first of them has waited."
        yield single("praxis_journal_queue_seconds", told, writer.waiting_seconds)
        yield self._runs()
        yield self._devices()
        yield self._under_way()

    def _runs(self) -> Metric:
        counts = dict.fromkeys(RUN_STATES, 0)
        for run in self.runs():
            state = "attached" if run["connected"] else "lost" if run["lost"] else "away"
            counts[state] += 1
        told = "Runs here: attached; away, and awaited; lost, their devices made safe."
        family = GaugeMetricFamily("praxis_host_runs", told, labels=("state",))
        for state, count in counts.items():
            family.add_metric((state,), count)
        return family

    def _devices(self) -> Metric:
        told = "1: the device is in this state; quarantined: out of use until somebody has looked."
        family = GaugeMetricFamily("praxis_device_state", told, labels=("device", "state"))
        for device, status in self.runtime.status().items():
            for state in DeviceState:
                family.add_metric((device, state.value), status.state is state)
        return family

    def _under_way(self) -> Metric:
        told = "Commands that wait for their turn, and that are being carried out."
        family = GaugeMetricFamily("praxis_commands_under_way", told, labels=("device", "state"))
        for device, (waiting, begun) in self.runtime.commands_of_devices().items():
            family.add_metric((device, "waiting"), waiting)
            family.add_metric((device, "begun"), begun)
        return family


def single(name: str, told: str, value: float) -> Metric:
    """Make a metric of one value without labels."""
    return GaugeMetricFamily(name, told, value=float(value))


@dataclass(frozen=True, slots=True)
class HostMetrics:
    """All that a host tells Prometheus, each sample with the name of its workcell."""

    workcell: str
    parts: Sequence[Collector]

    @classmethod
    def of(cls, workcell: str, commands: CommandMetrics, facts: HostFacts) -> HostMetrics:
        """Put together what is counted, what is true now, and what the process takes."""
        process = ProcessCollector(namespace="praxis_host", registry=None)
        return cls(workcell, (commands.registry, facts, process))

    def collect(self) -> Iterable[Metric]:
        """Tell all of it."""
        for family in chain.from_iterable(part.collect() for part in self.parts):
            family.samples = [
                sample._replace(labels={"workcell": self.workcell, **sample.labels})
                for sample in family.samples
            ]
            yield family

    def text(self) -> bytes:
        """Write it as Prometheus reads it."""
        return generate_latest(self)
