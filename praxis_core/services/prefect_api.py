"""Prefect's REST API, as far as Praxis needs it; nothing else here speaks to Prefect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from uuid import UUID, uuid4

import httpx

from praxis_core.errors import (
    ProtocolNotFound,
    RequestError,
    RunNotFound,
    ServiceNotRunning,
    ServiceRefused,
    ServiceUnreachable,
)
from praxis_core.settings import PraxisSettings

NAME = "Prefect"
TIMEOUT_SECONDS = 15.0
NOT_FOUND = 404
CONFLICT = 409
PAGE = 200
"""Rows per request; the most that the API gives."""


@dataclass(frozen=True)
class Deployment:
    """A flow that can be started.

    Attributes:
        id: the deployment's id.
        name: the deployment's name, without that of its flow.
        parameters: JSON schema of the flow's parameters.
    """

    id: UUID
    name: str
    parameters: Mapping[str, Any]


@dataclass(frozen=True)
class FlowRun:
    """A run as Prefect knows it.

    Attributes:
        id: the flow run's id, which is the run accession id.
        name: its readable name.
        state_type: SCHEDULED, PENDING, RUNNING, COMPLETED, FAILED, CANCELLED, CRASHED, PAUSED, ...
        state_name: the state as people read it.
        state_message: what the state says of itself.
        started_at: when it first ran.
        ended_at: when it ended.
        deployment_id: the deployment that it is a run of; none for a run of one's own file.
        due: when it was to begin.
        state_at: since when it is in its state.
    """

    id: UUID
    name: str
    state_type: str | None
    state_name: str | None
    state_message: str | None
    started_at: datetime | None
    ended_at: datetime | None
    deployment_id: UUID | None = None
    due: datetime | None = None
    state_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """It is in a final state."""
        return self.state_type in {"COMPLETED", "FAILED", "CANCELLED", "CRASHED"}


@dataclass(frozen=True)
class LogLine:
    """One line of a run's log; ``level`` as in :mod:`logging`."""

    at: datetime
    level: int
    message: str


@dataclass(frozen=True)
class Worker:
    """A worker as Prefect knows it; ``heartbeat_age`` in seconds, by the server's clock."""

    name: str
    status: str
    last_heartbeat: datetime | None
    heartbeat_age: float | None


class PrefectApi:
    """A client of one Prefect server; a context manager.

    Raises:
        ServiceUnreachable: an external server does not answer.
        ServiceNotRunning: the embedded server does not answer.
        ServiceRefused: the server answered that it will not.
    """

    def __init__(self, settings: PraxisSettings, *, timeout: float = TIMEOUT_SECONDS) -> None:
        self._addresses = settings.addresses()
        headers, auth = {}, None
        if settings.prefect_api_key is not None:
            headers["Authorization"] = f"Bearer {settings.prefect_api_key.get_secret_value()}"
        elif settings.prefect_api_auth_string is not None:
            user, _, password = settings.prefect_api_auth_string.get_secret_value().partition(":")
            auth = httpx.BasicAuth(user, password)
        self._client = httpx.Client(
            base_url=self._addresses.prefect_api_url, headers=headers, auth=auth, timeout=timeout
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def healthy(self) -> bool:
        """Say whether the server answers and reaches its database."""
        try:
            answer = self._client.get("/ready")
            if answer.status_code == NOT_FOUND:  # Prefect Cloud does not speak of its database
                answer = self._client.get("/health")
        except httpx.HTTPError:
            return False
        return answer.is_success

    def version(self) -> str | None:
        """Give the server's version; nothing for Prefect Cloud, which has none."""
        answer = self._ask("GET", "/admin/version", allow=(NOT_FOUND,))
        return None if answer.status_code == NOT_FOUND else str(answer.json())

    def create_work_pool(self, name: str) -> None:
        """Create a work pool of processes, unless it is there."""
        if self._ask("GET", f"/work_pools/{name}", allow=(NOT_FOUND,)).is_success:
            return
        template = self._ask("GET", "/collections/views/aggregate-worker-metadata").json()
        job = template["prefect"]["process"]["default_base_job_configuration"]
        # A run that prints into a pipe dies with the worker that held its other end.
        job["variables"]["properties"]["stream_output"]["default"] = False
        pool = {
            "name": name,
            "type": "process",
            "description": "Runs of Praxis protocols.",
            "base_job_template": job,
        }
        self._ask("POST", "/work_pools/", json=pool, allow=(CONFLICT,))

    def workers(self, pool: str) -> list[Worker]:
        """List the workers of a work pool; none when there is no such pool."""
        path = f"/work_pools/{pool}/workers/filter"
        answer = self._ask("POST", path, json={}, allow=(NOT_FOUND,))
        if answer.status_code == NOT_FOUND:
            return []
        now = _server_time(answer)
        workers = []
        for row in answer.json():
            beat = _time(row["last_heartbeat_time"])
            age = None if beat is None else (now - beat).total_seconds()
            workers.append(Worker(row["name"], row["status"], beat, age))
        return workers

    def deployments(self, pool: str) -> list[Deployment]:
        """List the deployments of a work pool."""
        return self._deployments({"work_pools": {"name": {"any_": [pool]}}})

    def find_deployment(self, name: str) -> Deployment:
        """Find a deployment by ``flow/name``, or by its flow's name when that has only one.

        Raises:
            ProtocolNotFound: there is none, or the flow has several.
        """
        flow, _, deployment = name.partition("/")
        wanted: dict[str, Any] = {"flows": {"name": {"any_": [flow]}}}
        if deployment:
            wanted["deployments"] = {"name": {"any_": [deployment]}}
        found = self._deployments(wanted)
        if len(found) == 1:
            return found[0]
        hint = "It is not deployed; see what is: praxis protocols list"
        if found:
            hint = "It is deployed as: " + ", ".join(f"{flow}/{one.name}" for one in found)
        raise ProtocolNotFound(name=name, hint=hint)

    def create_flow_run(
        self,
        deployment: UUID,
        parameters: Mapping[str, Any],
        *,
        tags: tuple[str, ...] = (),
        at: datetime | None = None,
    ) -> FlowRun:
        """Start a deployment; the server checks the parameters against their schema.

        Args:
            deployment: Its id.
            parameters: Of the run.
            tags: Of the run.
            at: When it is to begin; None: now.
        """
        body: dict[str, Any] = {
            "parameters": dict(parameters),
            "tags": list(tags),
            "enforce_parameter_schema": True,
        }
        if at is not None:
            due = {"scheduled_time": at.isoformat()}
            body["state"] = {"type": "SCHEDULED", "state_details": due}
        answer = self._ask("POST", f"/deployments/{deployment}/create_flow_run", json=body)
        return _flow_run(answer.json())

    def read_flow_run(self, run_id: UUID) -> FlowRun:
        """Read a flow run.

        Raises:
            RunNotFound: Prefect does not know it, or no longer.
        """
        answer = self._ask("GET", f"/flow_runs/{run_id}", allow=(NOT_FOUND,))
        if answer.status_code == NOT_FOUND:
            raise RunNotFound(run_id=str(run_id))
        return _flow_run(answer.json())

    def flow_runs(self, pool: str, state_types: tuple[str, ...]) -> list[FlowRun]:
        """List the newest flow runs of a work pool that are in one of the states."""
        wanted = {
            "work_pools": {"name": {"any_": [pool]}},
            "flow_runs": {"state": {"type": {"any_": list(state_types)}}},
            "sort": "START_TIME_DESC",
            "limit": PAGE,
        }
        return [
            _flow_run(row) for row in self._ask("POST", "/flow_runs/filter", json=wanted).json()
        ]

    def late_runs(self, pool: str, before: datetime) -> list[FlowRun]:
        """List the flow runs that were to begin before a time and that nobody took, oldest first.

        Those that wait for a slot, or for another attempt, are not among them; nor are those that
        were parked.
        """
        wanted = {
            "work_pools": {"name": {"any_": [pool]}},
            "flow_runs": {
                "state": {"name": {"any_": ["Scheduled", "Late"]}},
                # A parked one has begun, and is late, too.
                "start_time": {"is_null_": True},
                "expected_start_time": {"before_": before.isoformat()},
            },
            "sort": "EXPECTED_START_TIME_ASC",
            "limit": PAGE,
        }
        return [
            _flow_run(row) for row in self._ask("POST", "/flow_runs/filter", json=wanted).json()
        ]

    def deployment_name(self, deployment: UUID) -> str:
        """Give ``flow/deployment``."""
        row = self._ask("GET", f"/deployments/{deployment}").json()
        flow = self._ask("GET", f"/flows/{row['flow_id']}").json()
        return f"{flow['name']}/{row['name']}"

    def pause_work_pool(self, name: str, *, paused: bool) -> None:
        """Let the workers of a work pool begin no run, or begin runs again."""
        self._ask("PATCH", f"/work_pools/{name}", json={"is_paused": paused})

    def set_state(
        self, run_id: UUID, state_type: str, *, name: str | None = None, message: str | None = None
    ) -> str:
        """Ask for a state (CANCELLING, SCHEDULED with name AwaitingRetry, ...); give the answer.

        Returns:
            ACCEPT, REJECT, WAIT or ABORT.
        """
        body = {"state": {"type": state_type, "name": name, "message": message}, "force": False}
        answer = self._ask("POST", f"/flow_runs/{run_id}/set_state", json=body)
        return str(answer.json()["status"])

    def give_up(self, run_id: UUID) -> None:
        """Cancel a flow run that a person has given up; one that has ended, or is unknown, stays.

        Raises:
            ServiceError: Prefect does not answer.
        """
        with suppress(RunNotFound):
            if not self.read_flow_run(run_id).ended:
                message = "Given up by a person."
                self.set_state(run_id, "CANCELLED", name="Cancelled", message=message)

    def save_automation(
        self, name: str, body: Mapping[str, Any], *, keep: Sequence[str] = ()
    ) -> bool:
        """Create an automation, or bring it up to date; say whether anything was to be done.

        Args:
            name: Its name, by which it is known.
            body: The rest of it; a person's own changes of anything else in it stay.
            keep: What of it stays as it is, when it is there.
        """
        wanted = {**body, "name": name}
        known = self.automation(name)
        if known is None:
            self._ask("POST", "/automations/", json=wanted)
            return True
        wanted |= {key: known[key] for key in keep}
        if _contains(known, wanted):
            return False
        self._ask("PUT", f"/automations/{known['id']}", json=wanted)
        return True

    def automation(self, name: str) -> dict[str, Any] | None:
        """Read an automation as the server has it; None: there is none of this name."""
        by_name = {"automations": {"name": {"any_": [name]}}}
        known: list[dict[str, Any]] = self._ask("POST", "/automations/filter", json=by_name).json()
        return known[0] if known else None

    def change_automation(self, name: str, *, actions: Sequence[Mapping[str, Any]]) -> None:
        """Let an automation do something else, if there is one of this name."""
        known = self.automation(name)
        if known is not None and known["actions"] != list(actions):
            kept = {key: known[key] for key in ("name", "description", "enabled", "trigger")}
            changed = {**kept, "actions": list(actions)}
            self._ask("PUT", f"/automations/{known['id']}", json=changed)

    def save_block(self, slug: str, name: str, data: Mapping[str, Any]) -> str:
        """Create a block document, or replace what is in it; give its id.

        Args:
            slug: Of its type.
            name: Its name.
            data: Its fields; secrets among them are stored as such.

        Raises:
            RequestError: the server does not know the type.
        """
        found = self._ask("GET", f"/block_types/slug/{slug}", allow=(NOT_FOUND,))
        if found.status_code == NOT_FOUND:
            what = f"Prefect does not know blocks of the type {slug}. Run: praxis up"
            raise RequestError(what=what)
        of_type = {"block_schemas": {"block_type_id": {"any_": [found.json()["id"]]}}}
        schemas = self._ask("POST", "/block_schemas/filter", json=of_type).json()
        schema = max(schemas, key=lambda one: str(one["created"]))["id"]
        body = {"data": dict(data), "block_schema_id": schema}
        path = f"/block_types/slug/{slug}/block_documents/name/{name}"
        known = self._ask("GET", path, allow=(NOT_FOUND,))
        if known.is_success:
            block = str(known.json()["id"])
            replaced = {**body, "merge_existing_data": False}
            self._ask("PATCH", f"/block_documents/{block}", json=replaced)
            return block
        new = {**body, "name": name, "block_type_id": found.json()["id"]}
        return str(self._ask("POST", "/block_documents/", json=new).json()["id"])

    def emit(self, event: str, resource: str, payload: Mapping[str, Any]) -> datetime:
        """Tell the server of an event that has just happened; give when."""
        at = datetime.now(UTC)
        body = {
            "id": str(uuid4()),
            "occurred": at.isoformat(),
            "event": event,
            "resource": {"prefect.resource.id": resource},
            "payload": dict(payload),
        }
        self._ask("POST", "/events", json=[body])
        return at

    def actions_ended(self, automation: str, since: datetime) -> list[str]:
        """Say how the actions of an automation went that ended since then."""
        outcomes = {f"prefect.automation.action.{one}": one for one in ("executed", "failed")}
        wanted = {
            "filter": {
                "event": {"name": list(outcomes)},
                "resource": {"id": [f"prefect.automation.{automation}"]},
                "occurred": {"since": since.isoformat()},
            }
        }
        found = self._ask("POST", "/events/filter", json=wanted).json()["events"]
        return [": ".join([outcomes[one["event"]], *_why(one["payload"])]) for one in found]

    def logs(self, run_id: UUID) -> list[LogLine]:
        """Read the log of a flow run, oldest line first."""
        lines: list[LogLine] = []
        while True:
            wanted = {
                "logs": {"flow_run_id": {"any_": [str(run_id)]}},
                "sort": "TIMESTAMP_ASC",
                "limit": PAGE,
                "offset": len(lines),
            }
            rows = self._ask("POST", "/logs/filter", json=wanted).json()
            for row in rows:
                at = datetime.fromisoformat(row["timestamp"])
                lines.append(LogLine(at, row["level"], row["message"]))
            if len(rows) < PAGE:
                return lines

    def run_url(self, run_id: UUID) -> str:
        """Give the address of a run's page."""
        return f"{self._addresses.prefect_ui_url}/runs/flow-run/{run_id}"

    def _deployments(self, wanted: Mapping[str, Any]) -> list[Deployment]:
        rows: list[Deployment] = []
        while True:
            body = {**wanted, "limit": PAGE, "offset": len(rows), "sort": "NAME_ASC"}
            page = self._ask("POST", "/deployments/filter", json=body).json()
            rows += [_deployment(row) for row in page]
            if len(page) < PAGE:
                return rows

    def _ask(
        self, method: str, path: str, *, json: object = None, allow: tuple[int, ...] = ()
    ) -> httpx.Response:
        try:
            answer = self._client.request(method, path, json=json)
        except httpx.HTTPError as error:
            raise self._silent(error) from error
        if answer.is_success or answer.status_code in allow:
            return answer
        raise ServiceRefused(
            service=NAME, request=f"{method} {path}", status=answer.status_code, what=_said(answer)
        )

    def _silent(self, error: httpx.HTTPError) -> ServiceUnreachable | ServiceNotRunning:
        address, what = self._addresses.prefect_api_url, str(error) or type(error).__name__
        if self._addresses.embedded_prefect:
            return ServiceNotRunning(service=NAME, address=address, what=what)
        setting = "PREFECT_API_URL"
        return ServiceUnreachable(service=NAME, address=address, setting=setting, what=what)


def _why(payload: Mapping[str, Any]) -> list[str]:
    """Say why an action failed."""
    return [str(payload[key]) for key in ("reason", "notification_log") if payload.get(key)]


def _said(answer: httpx.Response) -> str:
    try:
        body = answer.json()
    except ValueError:
        return answer.text[:500]
    said = body.get("detail") or body.get("exception_detail") or body.get("exception_message")
    return str(said or body)


def _contains(known: Any, wanted: Any) -> bool:
    """Compare without what the server adds: ids, defaults, the order of a set."""
    if isinstance(wanted, Mapping):
        return isinstance(known, Mapping) and all(
            _contains(known.get(key), value) for key, value in wanted.items()
        )
    if isinstance(wanted, list) and all(isinstance(one, str) for one in wanted):
        return isinstance(known, list) and sorted(known) == sorted(wanted)
    if isinstance(wanted, list):
        return (
            isinstance(known, list)
            and len(known) == len(wanted)
            and all(map(_contains, known, wanted))
        )
    return bool(known == wanted)


def _server_time(answer: httpx.Response) -> datetime:
    date = answer.headers.get("Date")
    return parsedate_to_datetime(date) if date else datetime.now(UTC)


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _deployment(row: Mapping[str, Any]) -> Deployment:
    schema = row.get("parameter_openapi_schema") or {}
    return Deployment(UUID(row["id"]), row["name"], schema)


def _flow_run(row: Mapping[str, Any]) -> FlowRun:
    state = row.get("state") or {}
    return FlowRun(
        id=UUID(row["id"]),
        name=row["name"],
        state_type=row["state_type"],
        state_name=row["state_name"],
        state_message=state.get("message"),
        started_at=_time(row["start_time"]),
        ended_at=_time(row["end_time"]),
        deployment_id=UUID(row["deployment_id"]) if row.get("deployment_id") else None,
        due=_time(row.get("expected_start_time")),
        state_at=_time(state.get("timestamp")),
    )
