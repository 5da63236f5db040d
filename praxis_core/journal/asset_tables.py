"""The tables of assets: what there is, what is in it and where, and how that came about.

Documents are ``jsonb``, since they are searched; texts in them are made storable before they get
here. ``asset`` and ``asset_part`` say how things stand now, ``asset_change`` how they came to.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import JsonValue
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from praxis_core.journal.columns import not_empty, one_of, word
from praxis_core.journal.tables import Base

DOCUMENT = JSONB(none_as_null=True)
"""JSON that is searched; None: nothing (SQL NULL)."""

_EMPTY = text("'{}'")
_IS_HERE = "discarded_at IS NULL"


class AssetStatus(StrEnum):
    """What may be done with an asset."""

    AVAILABLE = "available"
    RESERVED = "reserved"
    IN_USE = "in_use"
    QUARANTINED = "quarantined"
    EMPTY = "empty"
    DISCARDED = "discarded"


class AssetChangeKind(StrEnum):
    """Why something is known otherwise than before."""

    CONTENTS = "contents"
    """A command changed it."""
    PLACE = "place"
    """A command, or a person, put it elsewhere."""
    STATUS = "status"
    CREATED = "created"
    REPLACED = "replaced"
    """It stands where another one of its name stood."""
    CORRECTED = "corrected"
    """A person said what is true."""
    CONFIRMED = "confirmed"
    """A person looked, and it is as it is known."""
    DISCARDED = "discarded"


class AssetRow(Base):
    """One physical thing, on a workcell or outside."""

    __tablename__ = "asset"
    __table_args__ = (
        Index(
            "uq_asset_name",
            "workcell",
            "name",
            unique=True,
            postgresql_where=text(_IS_HERE),
        ),
        Index("uq_asset_barcode", "barcode", unique=True, postgresql_where=text(_IS_HERE)),
        Index(
            "ix_asset_free",
            "kind",
            "workcell",
            "expires",
            "id",
            postgresql_where=text("status = 'available'"),
        ),
        Index(
            "ix_asset_free_outside",
            "kind",
            "expires",
            "id",
            postgresql_where=text("status = 'available' AND workcell IS NULL"),
        ),
        Index("ix_asset_named", "workcell", "name", "created_at"),
        word("kind"),
        one_of("status", AssetStatus),
        CheckConstraint("workcell IS NULL OR name IS NOT NULL", name="workcell"),
        CheckConstraint("shelf IS NULL OR parent IS NULL", name="shelf"),
        CheckConstraint("(status = 'discarded') = (discarded_at IS NOT NULL)", name="discarded_at"),
        not_empty("name"),
        not_empty("barcode"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.gen_random_uuid())
    """Its accession id."""
    kind: Mapped[str]
    name: Mapped[str | None]
    """On its workcell, or the one it was last called by; None: it was on none yet."""
    workcell: Mapped[str | None]
    """Where it goes by its name, also while it is on a shelf beside it; None: nowhere."""
    factory: Mapped[str | None]
    """Of PyLabRobot."""
    config: Mapped[dict[str, JsonValue]] = mapped_column(
        DOCUMENT, server_default=_EMPTY, nullable=False
    )
    barcode: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default=text("'available'"))
    parent: Mapped[str | None]
    """What it stands on; None: in a gripper, or on nothing known."""
    place_unknown: Mapped[str | None]
    """Why nobody knows whether it stands there; empty: it is known; None: it has no place."""
    shelf: Mapped[str | None]
    """Its place outside of any workcell."""
    inside: Mapped[dict[str, JsonValue]] = mapped_column(
        DOCUMENT, server_default=_EMPTY, nullable=False
    )
    """Where its parts are, by name: the fields of a ``Location``."""
    rack: Mapped[list[str] | None] = mapped_column(ARRAY(Text()))
    """Of a tip rack: its spots in the order of a 96-head's channels."""
    reagent: Mapped[str | None]
    lot: Mapped[str | None]
    expires: Mapped[date | None]
    sample: Mapped[JsonValue] = mapped_column(DOCUMENT)
    parent_asset: Mapped[UUID | None] = mapped_column(ForeignKey("praxis.asset.id", name="parent"))
    """The sample it was taken from, or the rack that a tube is in."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    discarded_at: Mapped[datetime | None]


class AssetPartRow(Base):
    """What is known of one part of an asset now: a well, a tip spot, a channel, a gripper."""

    __tablename__ = "asset_part"
    # A row is rewritten with every command: there is room for that beside it.
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    asset_id: Mapped[UUID] = mapped_column(
        ForeignKey("praxis.asset.id", name="asset"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)
    contents: Mapped[dict[str, JsonValue] | None] = mapped_column(DOCUMENT)
    """As ``assets.changes`` describes it; None: it is there no more."""
    volume: Mapped[float | None] = mapped_column(DOUBLE_PRECISION)
    """µL, as last known."""
    tip: Mapped[bool | None]
    """Of a tip spot: whether a tip is there; None: nobody knows, or it is none."""


class AssetChangeRow(Base):
    """One change of one asset; never changed itself."""

    __tablename__ = "asset_change"
    __table_args__ = (
        Index("ix_asset_change_asset", "asset_id", "id"),
        Index("ix_asset_change_command", "run_id", "number"),
        Index(
            "ix_asset_change_sources",
            "sources",
            postgresql_using="gin",
            postgresql_where=text("sources <> '{}'"),
        ),
        one_of("kind", AssetChangeKind),
        CheckConstraint(
            "num_nonnulls(run_id, attempt, branch, ordinal, number) IN (0, 5)",
            name="command_complete",
        ),
        CheckConstraint("num_nonnulls(run_id, who) >= 1", name="who"),
        # However many rows there are, new ones are vacuumed soon: the changes of a run are counted
        # in an index, which of a page not vacuumed since asks the table for each row.
        {
            "postgresql_with": {
                "autovacuum_vacuum_insert_scale_factor": 0,
                "autovacuum_vacuum_insert_threshold": 2000,
            }
        },
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("praxis.asset.id", name="asset"))
    at: Mapped[datetime]
    kind: Mapped[str]
    run_id: Mapped[UUID | None]
    """With the next four the command; no foreign key: a run may be deleted, what it did stays."""
    attempt: Mapped[int | None]
    branch: Mapped[str | None]
    ordinal: Mapped[int | None]
    number: Mapped[int | None] = mapped_column(BigInteger)
    who: Mapped[str | None]
    """The person; None: it was a command."""
    why: Mapped[str | None]
    parts: Mapped[dict[str, JsonValue] | None] = mapped_column(DOCUMENT)
    """``{part: [before in short, after]}``."""
    places: Mapped[dict[str, JsonValue] | None] = mapped_column(DOCUMENT)
    """``{resource: [before, after]}``."""
    sources: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()), server_default=_EMPTY)
    """What has come into the parts, or has touched their tips."""


class AssetPictureRow(Base):
    """Where the last change of each part is, after some commands of a run; can be drawn again.

    So that to tell the deck after any command, few changes have to be read.
    """

    __tablename__ = "asset_picture"
    __table_args__ = (
        CheckConstraint("cardinality(parts) = cardinality(part_changes)", name="parts"),
        CheckConstraint("cardinality(places) = cardinality(place_changes)", name="places"),
    )

    run_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    """Of the last command that counts."""
    changes: Mapped[int]
    """How many changes there were up to it: if there are more, it is drawn again."""
    parts: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    part_changes: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))
    """Of each part the ``asset_change`` that was the last."""
    places: Mapped[list[str]] = mapped_column(ARRAY(Text()))
    place_changes: Mapped[list[int]] = mapped_column(ARRAY(BigInteger()))


class SourceRow(Base):
    """One filling of one container: where lineage ends."""

    __tablename__ = "source"
    __table_args__ = (
        Index("ix_source_asset", "asset_id", "part"),
        CheckConstraint("volume >= 0", name="volume"),
        not_empty("by"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    asset_id: Mapped[UUID] = mapped_column(ForeignKey("praxis.asset.id", name="asset"))
    part: Mapped[str]
    reagent: Mapped[str | None]
    lot: Mapped[str | None]
    sample: Mapped[JsonValue] = mapped_column(DOCUMENT)
    volume: Mapped[float] = mapped_column(DOUBLE_PRECISION)
    amounts: Mapped[dict[str, JsonValue]] = mapped_column(
        DOCUMENT, server_default=_EMPTY, nullable=False
    )
    """pmol of each solute."""
    filled_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    by: Mapped[str]


class AssetDoubtRow(Base):
    """What was known before a command of which nobody knows whether it happened."""

    __tablename__ = "asset_doubt"

    workcell: Mapped[str] = mapped_column(primary_key=True)
    command: Mapped[str] = mapped_column(primary_key=True)
    """Its key in ``AssetManagerState.doubts``."""
    before: Mapped[dict[str, JsonValue]] = mapped_column(DOCUMENT, nullable=False)


class CalibrationRow(Base):
    """One value that was taught, in one version."""

    __tablename__ = "calibration"
    __table_args__ = (
        UniqueConstraint(
            "workcell", "device", "site", "labware_kind", "key", "version", name="version"
        ),
        CheckConstraint("version >= 1", name="version"),
        CheckConstraint("valid_until IS NULL OR valid_until > valid_from", name="valid_until"),
        not_empty("key"),
        not_empty("who"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    workcell: Mapped[str]
    device: Mapped[str]
    site: Mapped[str] = mapped_column(server_default=text("''"))
    """A place on the workcell; empty: any."""
    labware_kind: Mapped[str] = mapped_column(server_default=text("''"))
    """Factory of PyLabRobot; empty: any."""
    key: Mapped[str]
    value: Mapped[JsonValue] = mapped_column(DOCUMENT, nullable=False)
    version: Mapped[int]
    valid_from: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
    valid_until: Mapped[datetime | None]
    who: Mapped[str]
    why: Mapped[str] = mapped_column(server_default=text("''"))
