import pytest

from seawall.settings import Settings, SettingsError


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
