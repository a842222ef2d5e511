import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from starlette.applications import Starlette

from seawall import Seawall
from seawall.core import Status
from seawall.settings import Settings, SettingsError
from seawall.testing import FakeClock, virtual_time


def test_nothing_set_gives_the_defaults():
    assert Settings.from_env({}) == Settings()


def test_every_variable_is_read():
    settings = Settings.from_env(
        {
            "SEAWALL_ADMIN_TOKEN": "a-token-of-16-ch",
            "SEAWALL_RESILIENCE": "off",
            "SEAWALL_REQUEST_TIMEOUT": "2.5",
            "LOG_LEVEL": "debug",
            "LOG_JSON_FORMAT": "No",
            "PATH": "/bin",
        }
    )
    assert settings == Settings(
        admin_token="a-token-of-16-ch", resilience=False, request_timeout=2.5, log_level="DEBUG", log_json_format=False
    )


def test_all_problems_are_told_at_once_and_no_secret():
    wrong = {
        "SEAWALL_ADMIN_TOKEN": "short",
        "SEAWALL_RESILIENCE": "maybe",
        "SEAWALL_REQUEST_TIMEOUT": "-1",
        "SEAWALL_TYPO": "1",
        "LOG_LEVEL": "loud",
    }
    with pytest.raises(SettingsError) as refused:
        Settings.from_env(wrong)
    assert len(refused.value.problems) == 5
    message = str(refused.value)
    assert "short" not in message
    assert "SEAWALL_RESILIENCE: 'maybe' is not allowed; allowed: on or off" in message
    assert "SEAWALL_TYPO is unknown; known: SEAWALL_ADMIN_TOKEN" in message


@pytest.mark.parametrize("text", ["0", "inf", "nan", "", "1 s"])
def test_impossible_seconds_are_refused(text):
    with pytest.raises(SettingsError, match="a number of seconds above 0"):
        Settings.from_env({"SEAWALL_REQUEST_TIMEOUT": text})


def test_repr_shows_no_secret():
    assert "a-token" not in repr(Settings(admin_token="a-token-of-16-ch"))


def test_the_database_is_read_from_the_environment_and_its_urls_are_secret():
    settings = Settings.from_env(
        {
            "DATABASE_URL": "postgresql://app:sesame@db-1/app",
            "DATABASE_REPLICA_URLS": "postgresql://app:sesame@db-2/app, postgresql://app:sesame@db-3/app",
            "DATABASE_POOL_SIZE": "5",
        }
    )
    assert settings.database_replica_urls[1] == "postgresql://app:sesame@db-3/app"
    assert settings.database_pool_size == 5
    assert "sesame" not in repr(settings)
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        Settings.from_env({"DATABASE_URL": "mysql://app:sesame@db/app"})
    assert "sesame" not in str(caught.value)


def test_levels_proxies_and_the_rest_of_the_request_path():
    settings = Settings.from_env(
        {
            "LOG_LEVELS": "seawall.cache=debug, httpx2=WARNING",
            "SEAWALL_TRUSTED_PROXIES": "10.0.0.0/8, ::1",
            "SEAWALL_DRAIN_DELAY": "0",
            "SEAWALL_BODY_LIMIT": "0",
            "TRACE_SAMPLE_RATE": "0.25",
            "SENTRY_DSN": "https://key@sentry.example/7",
            "ENVIRONMENT": "development",
        }
    )
    assert settings.log_levels == {"seawall.cache": "DEBUG", "httpx2": "WARNING"}
    assert settings.trusted_proxies == ("10.0.0.0/8", "::1")
    assert (settings.drain_delay, settings.body_limit, settings.trace_sample_rate) == (0.0, 0, 0.25)
    assert settings.development
    assert "key@" not in repr(settings)


@pytest.mark.parametrize(
    ("variable", "text", "allowed"),
    [
        ("LOG_LEVELS", "seawall.cache", "logger=LEVEL"),
        ("SESSION_EXPIRY_HOURS", "0", "a number of hours above 0"),
        ("CLEANUP_INTERVAL_SECONDS", "-1", "a number of seconds above 0"),
        ("MAX_FILE_AGE_HOURS", "two days", "a number of hours above 0"),
        ("LOG_LEVELS", "seawall.cache=loud", "DEBUG, INFO"),
        ("SEAWALL_TRUSTED_PROXIES", "proxy.example", "IP addresses"),
        ("TRACE_SAMPLE_RATE", "2", "0 to 1"),
        ("SENTRY_DSN", "sentry.example", "https://<key>"),
        ("ENVIRONMENT", "a b", "a name"),
        ("POSTGRES_READ_REPLICA_PORT", "70000", "1 to 65535"),
        ("POSTGRES_READ_REPLICA_HOST", "a/b", "a host's name"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector", "http://"),
    ],
)
def test_what_cannot_be_is_refused_with_what_can(variable, text, allowed):
    with pytest.raises(SettingsError, match=allowed):
        Settings.from_env({variable: text})


@pytest.mark.parametrize(
    ("host", "port", "url"),
    [
        ("db-2", None, "postgresql://app:sesame@db-2:5433/app"),
        ("db-2", "6000", "postgresql://app:sesame@db-2:6000/app"),
        ("::1", "6000", "postgresql://app:sesame@[::1]:6000/app"),
    ],
)
def test_a_replica_may_be_named_by_its_host(host, port, url):
    environment = {"DATABASE_URL": "postgresql://app:sesame@db-1:5433/app", "POSTGRES_READ_REPLICA_HOST": host}
    settings = Settings.from_env(environment | ({} if port is None else {"POSTGRES_READ_REPLICA_PORT": port}))
    assert settings.replica_urls == (url,)


def test_a_file_gives_what_the_environment_does_not(tmp_path):
    file = tmp_path / ".env"
    file.write_text('# a comment\nLOG_LEVEL=ERROR\nexport SEAWALL_REQUEST_TIMEOUT="7"\n')
    settings = Settings.from_env({"LOG_LEVEL": "DEBUG"}, file=file)
    assert (settings.log_level, settings.request_timeout) == ("DEBUG", 7.0)
    assert Settings.from_env({}, file=tmp_path / "nowhere") == Settings()


def test_sessions_end_when_the_environment_says():
    clock = FakeClock()
    sea = Seawall(service="test", settings=Settings.from_env({"SESSION_EXPIRY_HOURS": "1.5"}), clock=clock)

    async def main() -> None:
        session = await sea.sessions.create({})
        clock.advance(1.49 * 3600)
        assert await sea.sessions.get(session.id) is not None
        clock.advance(0.02 * 3600)
        assert await sea.sessions.get(session.id) is None

    asyncio.run(main())


def test_folders_are_swept_as_often_and_of_what_is_as_old_as_the_environment_says(tmp_path):
    environment = {"CLEANUP_INTERVAL_SECONDS": "600", "MAX_FILE_AGE_HOURS": "1.5"}
    # Real files, so a clock that begins when they are made.
    clock = FakeClock(datetime.now(UTC) + timedelta(seconds=1))
    sea = Seawall(service="test", settings=Settings.from_env(environment), clock=clock)
    retention = sea.retain(tmp_path, name="charts")
    assert (retention.interval, retention.max_age) == (600.0, 5400.0)
    app = sea.install(Starlette())

    async def main() -> None:
        async with app.router.lifespan_context(app):
            (tmp_path / "chart.png").write_bytes(b"x" * 5_000)
            await asyncio.sleep(4_500)
            assert (tmp_path / "chart.png").exists()
            await asyncio.sleep(1_700)
            assert not (tmp_path / "chart.png").exists()
            assert (await sea.check()).findings["charts"].health.status is Status.HEALTHY

    virtual_time.run(main(), clock=clock)
    families = sea.metrics.families
    assert families["files_removed_total"].labels("charts").value == 1
    assert families["files_freed_bytes_total"].labels("charts").value >= 5_000
    assert families["files_held_bytes"].labels("charts").value == 0
