"""The tables: tenants, their users, podcasts, sponsors and campaigns, and what listeners did because of a campaign."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    JSON,
    BigInteger,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    TypeDecorator,
    UniqueConstraint,
    Uuid,
)
from sqlalchemy.dialects.postgresql import JSONB

CENTS = 100

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)


class Money(TypeDecorator[Decimal]):
    """US dollars, kept in whole cents."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> int | None:
        """Dollars to cents."""
        return None if value is None else int(value * CENTS)

    def process_result_value(self, value: int | None, dialect: Dialect) -> Decimal | None:
        """Cents to dollars."""
        return None if value is None else Decimal(int(value)).scaleb(-2)


class Moment(TypeDecorator[datetime]):
    """A moment in UTC, also where the database knows no time zones."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """With its zone."""
        return None if value is None else value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _number() -> Column[int]:
    """Counts up, so that lists come in the order in which things were made."""
    return Column("number", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True)


def _id() -> Column[Any]:
    return Column("id", Uuid, unique=True, nullable=False)


def _tenant() -> Column[Any]:
    return Column("tenant", ForeignKey("tenants.slug"), nullable=False)


def _document() -> Any:
    return JSON(none_as_null=True).with_variant(JSONB(none_as_null=True), "postgresql")


tenants = Table(
    "tenants",
    metadata,
    Column("slug", String(40), primary_key=True),
    Column("created_at", Moment, nullable=False),
)

users = Table(
    "users",
    metadata,
    _number(),
    _id(),
    _tenant(),
    Column("name", String(200), nullable=False),
    Column("email", String(254), nullable=False),
    Column("role", String(20), nullable=False),
    UniqueConstraint("tenant", "email"),
    Index(None, "tenant", "number"),
)

podcasts = Table(
    "podcasts",
    metadata,
    _number(),
    _id(),
    _tenant(),
    Column("title", String(200), nullable=False),
    Column("host", String(200), nullable=False),
    Column("email", String(254), nullable=False),
    Column("listeners", BigInteger, nullable=False),
    Index(None, "tenant", "number"),
)

sponsors = Table(
    "sponsors",
    metadata,
    _number(),
    _id(),
    _tenant(),
    Column("name", String(200), nullable=False),
    Column("email", String(254), nullable=False),
    Column("product", String(200), nullable=False),
    Index(None, "tenant", "number"),
)

campaigns = Table(
    "campaigns",
    metadata,
    _number(),
    _id(),
    _tenant(),
    Column("podcast_id", ForeignKey("podcasts.id"), nullable=False),
    Column("sponsor_id", ForeignKey("sponsors.id"), nullable=False),
    Column("budget", Money, nullable=False),
    Column("promo_code", String(20), nullable=False),
    Column("ad_read", _document()),
    Column("invoice", _document()),
    Index(None, "tenant", "number"),
)

attribution_events = Table(
    "attribution_events",
    metadata,
    _number(),
    _id(),
    Column("campaign_id", ForeignKey("campaigns.id"), nullable=False),
    Column("kind", String(20), nullable=False),
    Column("amount", Money),
    Column("happened_at", Moment, nullable=False),
    Index(None, "campaign_id", "number"),
)
