"""URLs of servers: what is understood, what each driver is told, and what is refused with what to write instead."""

import ssl

import pytest

from seawall.core import OptionError
from seawall.database import Database
from seawall.database.pools import PoolOptions, arguments_of, probe_arguments
from seawall.database.urls import asyncpg_arguments, connect_timeout, parse_urls, pg8000_arguments
from seawall.settings import Settings, SettingsError


def where(given: str) -> list[tuple[str | None, int | None]]:
    return [(url.host, url.port) for url in parse_urls("url", given)]


@pytest.mark.parametrize(
    "scheme",
    ["postgresql", "postgres", "postgresql+asyncpg", "postgresql+psycopg", "postgresql+psycopg2", "postgresql+pg8000"],
)
def test_a_url_says_where_whatever_driver_it_was_written_for(scheme):
    given = f"{scheme}://ann:s%40cret@db-1:5433/app"
    [url] = parse_urls("url", given)
    assert (url.drivername, url.username, url.password) == ("postgresql+asyncpg", "ann", "s@cret")
    assert (url.host, url.port, url.database) == ("db-1", 5433, "app")
    assert Settings.from_env({"DATABASE_URL": given}).database_url == given


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("postgresql://u:p@one,two/app", [("one", None), ("two", None)]),
        ("postgresql://u:p@one:1,two:2,[::1]:3/app?sslmode=require", [("one", 1), ("two", 2), ("::1", 3)]),
        ("postgresql://u:p@/app?host=one:1&host=two:2", [("one", 1), ("two", 2)]),
        ("postgresql://u:p@/app?host=one,two&port=1,2", [("one", 1), ("two", 2)]),
        ("postgresql://u:p@/app?host=one,two&port=7", [("one", 7), ("two", 7)]),
        ("postgresql:///app?host=/var/run/postgresql", [("/var/run/postgresql", None)]),
        ("postgresql:///app?host=/var/run/postgresql&port=5433", [("/var/run/postgresql", 5433)]),
        ("postgresql://%2Fvar%2Frun%2Fpostgresql/app", [("/var/run/postgresql", None)]),
        ("postgresql://u:p@[::1]:7/app", [("::1", 7)]),
        ("postgresql:///app", [(None, None)]),
    ],
)
def test_each_host_is_a_server(given, expected):
    assert where(given) == expected
    assert all(url.database == "app" and "host" not in url.query for url in parse_urls("url", given))


def test_sqlite_stays_what_it_is():
    [url] = parse_urls("url", "sqlite:///a,b.db?cache=shared")
    assert (url.drivername, url.database) == ("sqlite+aiosqlite", "a,b.db")


def test_both_drivers_are_told_of_what_the_url_says():
    given = "postgresql://u@h/d?application_name=api&connect_timeout=7&options=-c%20search_path%3Dshop&sslmode=disable"
    [url] = parse_urls("url", given)
    assert asyncpg_arguments(url) == {
        "dsn": "postgresql://?sslmode=disable",
        "server_settings": {"application_name": "api", "options": "-c search_path=shop"},
        "timeout": 7.0,
    }
    assert connect_timeout(url) == 7.0
    assert pg8000_arguments(url) == {
        "ssl_context": False,
        "application_name": "api",
        "startup_params": {"options": "-c search_path=shop"},
    }


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", None),
        ("?sslmode=prefer", None),
        ("?ssl=false", False),
        ("?ssl=true", True),
        ("?ssl=require", True),
        ("?sslmode=require", True),
    ],
)
def test_tls_of_pg8000(query, expected, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    [url] = parse_urls("url", f"postgresql://u@h/d{query}")
    assert pg8000_arguments(url)["ssl_context"] is expected


@pytest.mark.parametrize(("mode", "names"), [("verify-ca", False), ("verify-full", True)])
def test_who_verifies_trusts_nobody_else(mode, names, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    [url] = parse_urls("url", f"postgresql://u@h/d?sslmode={mode}")
    context = pg8000_arguments(url)["ssl_context"]
    assert isinstance(context, ssl.SSLContext)
    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, names)


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("channel_binding=require", "'channel_binding' is 'require'; allowed: nothing, the driver has none"),
        ("target_session_attrs=read-write", "the primary they tell themselves"),
        ("pgbouncer=true", r"Database\(pooler=True\)"),
        ("statement_cache_size=0", r"connect_args={'statement_cache_size': …}"),
        ("sslmode=always", "'always'; allowed: disable, allow, prefer, require, verify-ca, verify-full"),
        ("connect_timeout=soon", "'soon'; allowed: whole seconds"),
        ("sslmod=require", "'sslmod' is 'require'; allowed: nothing, it is unknown; known: sslmode,"),
        ("host=one:x,two", "'one:x'; allowed: host, host:port"),
    ],
)
def test_what_cannot_work_is_named_with_what_to_write_instead(query, why):
    wrong, right = f"postgresql://u:sesame@/d?{query}", "postgresql://u@h/d"
    for option, url, replicas in (("url", wrong, []), ("replicas", right, [wrong])):
        with pytest.raises(OptionError, match=why) as caught:
            Database(url, replicas=replicas)
        assert str(caught.value).startswith(f"Database: {option}, its ")
        assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("given", ["nowhere", "postgresql://u:sesame@h:x/d", "mysql://u:sesame@h/d", ""])
def test_what_is_no_url_of_ours_is_refused_without_the_password(given):
    with pytest.raises(OptionError, match="allowed: postgresql://") as caught:
        parse_urls("url", given)
    assert "sesame" not in str(caught.value)


def test_a_probe_has_a_name_of_its_own_and_nothing_that_only_sqlalchemy_takes():
    [url] = parse_urls("url", "postgresql://u:p@h:7/d?application_name=api&connect_timeout=3")
    pool = PoolOptions(connect_args={"prepared_statement_cache_size": 0, "command_timeout": 9})
    assert probe_arguments(url, pool) == {
        "host": "h", "port": 7, "user": "u", "password": "p", "database": "d", "timeout": 3.0, "command_timeout": 9,
        "statement_cache_size": 0, "server_settings": {"application_name": "seawall-probe"},
    }  # fmt: skip
    assert arguments_of(url, pool)["server_settings"] == {"application_name": "api"}


def test_the_environment_takes_the_same_schemes():
    with pytest.raises(SettingsError, match="DATABASE_URL"):
        Settings.from_env({"DATABASE_URL": "mysql://h/d"})
