"""Trials side by side: several worlds take what is next as soon as they are free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from queue import Empty, SimpleQueue
from threading import Event
from typing import TypeVar

Lane = TypeVar("Lane")
Job = TypeVar("Job")


def side_by_side(
    parts: Sequence[tuple[Sequence[Lane], Iterable[Job]]], work: Callable[[Lane, Job], None]
) -> None:
    """Do all jobs.

    Args:
        parts: Lanes, and jobs that each of these lanes can do.
        work: Does one.
    """
    stopped = Event()
    with ThreadPoolExecutor(sum(len(lanes) for lanes, _ in parts)) as threads:
        ends = []
        for lanes, jobs in parts:
            waiting: SimpleQueue[Job] = SimpleQueue()
            for job in jobs:
                waiting.put(job)
            ends += [threads.submit(_drive, lane, waiting, work, stopped) for lane in lanes]
        try:
            wait(ends)
        finally:  # who interrupts it waits for the trials that are under way
            stopped.set()
    for end in ends:
        end.result()


def _drive(
    lane: Lane, waiting: SimpleQueue[Job], work: Callable[[Lane, Job], None], stopped: Event
) -> None:
    while not stopped.is_set():
        try:
            job = waiting.get_nowait()
        except Empty:
            return
        work(lane, job)
