"""SQLAlchemy with all servers in one URL: each new connection goes to whichever is the primary then."""

from urllib.parse import urlsplit

from bench.database_shape import Servers
from bench.peers.database import sqlalchemy

NAME = "SQLAlchemy (all hosts)"
DISTRIBUTIONS = ("sqlalchemy", "asyncpg")
REFERENCE = True
WITHOUT = dict.fromkeys(("opened", "routed"), "as SQLAlchemy")
NOTES = {"failover": "pool_pre_ping=True, ?host=…&host=…, target_session_attrs=primary"}


def failing_over(servers):
    parts = [urlsplit(url) for url in (servers.primary, *servers.replicas)]
    first = parts[0]
    hosts = "&".join(f"host={part.hostname}:{part.port}" for part in parts)
    url = f"{first.scheme}://{first.username}:{first.password}@{first.path}?{hosts}"
    return sqlalchemy.opened(Servers(primary=url), target_session_attrs="primary")
