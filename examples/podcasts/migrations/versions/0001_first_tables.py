"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None


def _number() -> sa.Column[Any]:
    return sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), nullable=False, autoincrement=True)


def _of_a_tenant(table: str, *columns: Any) -> None:
    op.create_table(
        table,
        _number(),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("tenant", sa.String(40), nullable=False),
        *columns,
        sa.PrimaryKeyConstraint("number", name=f"pk_{table}"),
        sa.UniqueConstraint("id", name=f"uq_{table}_id"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.slug"], name=f"fk_{table}_tenant"),
    )
    op.create_index(f"ix_{table}_tenant_number", table, ["tenant", "number"])


def upgrade() -> None:
    """Make them."""
    document = sa.JSON().with_variant(JSONB(), "postgresql")
    op.create_table(
        "tenants",
        sa.Column("slug", sa.String(40), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("slug", name="pk_tenants"),
    )
    _of_a_tenant(
        "users",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("role", sa.String(20), nullable=False),
        sa.UniqueConstraint("tenant", "email", name="uq_users_tenant_email"),
    )
    _of_a_tenant(
        "podcasts",
        sa.Column("title", sa.String(200), nullable=False),
        sa.Column("host", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("listeners", sa.BigInteger, nullable=False),
    )
    _of_a_tenant(
        "sponsors",
        sa.Column("name", sa.String(200), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("product", sa.String(200), nullable=False),
    )
    _of_a_tenant(
        "campaigns",
        sa.Column("podcast_id", sa.Uuid, nullable=False),
        sa.Column("sponsor_id", sa.Uuid, nullable=False),
        sa.Column("budget", sa.BigInteger, nullable=False),
        sa.Column("promo_code", sa.String(20), nullable=False),
        sa.Column("ad_read", document),
        sa.Column("invoice", document),
        sa.ForeignKeyConstraint(["podcast_id"], ["podcasts.id"], name="fk_campaigns_podcast_id"),
        sa.ForeignKeyConstraint(["sponsor_id"], ["sponsors.id"], name="fk_campaigns_sponsor_id"),
    )
    op.create_table(
        "attribution_events",
        _number(),
        sa.Column("id", sa.Uuid, nullable=False),
        sa.Column("campaign_id", sa.Uuid, nullable=False),
        sa.Column("kind", sa.String(20), nullable=False),
        sa.Column("amount", sa.BigInteger),
        sa.Column("happened_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("number", name="pk_attribution_events"),
        sa.UniqueConstraint("id", name="uq_attribution_events_id"),
        sa.ForeignKeyConstraint(["campaign_id"], ["campaigns.id"], name="fk_attribution_events_campaign_id"),
    )
    op.create_index("ix_attribution_events_campaign_id_number", "attribution_events", ["campaign_id", "number"])


def downgrade() -> None:
    """Drop them."""
    for table in ("attribution_events", "campaigns", "sponsors", "podcasts", "users", "tenants"):
        op.drop_table(table)
