import copy
import pickle

import pytest

from seawall.core import MissingExtraError, OptionError, SeawallError
from seawall.resilience import errors

SAMPLES: list[SeawallError] = [
    SeawallError("what", 1),
    OptionError("Retry", "attempts", 0, "a number at least 1"),
    MissingExtraError("HttpClient", "httpx2", "httpx2"),
    errors.RejectedError("api", 2.0),
    errors.CircuitOpenError("api", 12.04, "open"),
    errors.CircuitOpenError("api", None, "half_open"),
    errors.CircuitOpenError("api", None, "isolated"),
    errors.BulkheadFullError("api", 5, 10),
    errors.BulkheadFullError("api", 5, 10, 0.25),
    errors.RateLimitedError("api", 1.5),
    errors.LimitExceededError("api", 7, 3),
    errors.LimitExceededError("api", 7, 3, "evicted"),
    errors.LimitExceededError("api", 7, 3, "waited"),
    errors.DeadlineExceededError("api", 0.5),
    errors.CallTimeoutError("api", 2.0),
    errors.CallTimeoutError("api", 0.1234, "deadline"),
    errors.InjectedError("api"),
    errors.PipelineOrderError("api", "retry stands inside", "Retry, CircuitBreaker"),
]


def every_class() -> set[type[SeawallError]]:
    own = {kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, SeawallError)}
    return own | {SeawallError, OptionError, MissingExtraError}


def test_every_error_class_has_a_sample():
    assert {type(sample) for sample in SAMPLES} == every_class()


def test_codes_are_stable_names_and_unique():
    codes = {kind.code: kind for kind in every_class()}
    assert len(codes) == len(every_class())
    assert all(code == code.lower() and code.replace("-", "").isalpha() for code in codes)


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: f"{type(error).__name__}-{error}"[:60])
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(6))],
    ids=["copy", "deepcopy", *(f"pickle{protocol}" for protocol in range(6))],
)
def test_errors_are_copied_and_pickled_whole(error, again):
    other = again(error)
    assert type(other) is type(error)
    assert str(other) == str(error)
    assert other.message == error.message
    assert other.attributes == error.attributes
    assert other.args == error.args


@pytest.mark.parametrize("error", SAMPLES[1:], ids=lambda error: type(error).__name__)
def test_attributes_are_what_can_be_read_by_name(error):
    assert error.attributes
    for name, value in error.attributes.items():
        assert getattr(error, name) == value


@pytest.mark.parametrize("error", SAMPLES, ids=lambda error: type(error).__name__)
def test_notes_are_no_attributes(error):
    noted = copy.copy(error)
    noted.add_note("seen in test")
    assert noted.attributes == error.attributes


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (SAMPLES[1], "Retry: attempts is 0; allowed: a number at least 1"),
        (SAMPLES[2], "HttpClient needs 'httpx2'; install 'seawall[httpx2]'"),
        (errors.CircuitOpenError("api", 12.04, "open"), "circuit breaker 'api' is open; next trial call in 12.0 s"),
        (
            errors.CircuitOpenError("api", None, "half_open"),
            "circuit breaker 'api' is half open and its trial calls are under way",
        ),
        (
            errors.CircuitOpenError("api", None, "isolated"),
            "circuit breaker 'api' is isolated by hand; reset() or close() it to let calls through",
        ),
        (errors.CallTimeoutError("api", 2.0), "'api' took longer than its timeout of 2 s"),
        (errors.CallTimeoutError("api", 0.1234, "deadline"), "'api' was cut after 0.123 s by the caller's deadline"),
        (
            errors.DeadlineExceededError("api", 0.5),
            "'api' was not called: the caller's deadline passed 0.500 s ago",
        ),
        (errors.RateLimitedError("api", 1.5), "rate limit 'api' is used up; next call in 1.50 s"),
    ],
)
def test_messages_name_the_instance_and_the_value(error, message):
    assert str(error) == message


@pytest.mark.parametrize("kind", [errors.CallTimeoutError, errors.DeadlineExceededError])
def test_timeouts_are_caught_as_timeout_errors(kind):
    assert issubclass(kind, TimeoutError)


def test_bad_options_are_value_errors_and_missing_extras_import_errors():
    assert issubclass(OptionError, ValueError)
    assert issubclass(MissingExtraError, ImportError)
