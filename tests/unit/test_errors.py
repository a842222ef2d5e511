"""The errors that services raise, and what every error of Seawall has."""

import copy
import importlib
import pickle
import pkgutil
import re
from pathlib import Path
from typing import Any

import pytest

import seawall
from seawall import errors
from seawall.core import OptionError, SeawallError
from seawall.core.errors import Severity
from seawall.errors import (
    CATEGORIES,
    AuthenticationError,
    ConflictError,
    ExternalApiError,
    ExternalTimeoutError,
    NotFoundError,
    PermissionDeniedError,
    QuotaExceededError,
    ServiceError,
    TokenExpiredError,
    TooManyRequestsError,
    ValidationError,
)

ROOT = Path(__file__).parents[2]
INSIDE = "connection to 10.0.0.7 refused"
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "ValidationError": ("budget", "must be above 0"),
    "PermissionDeniedError": ("campaigns:write",),
    "NotFoundError": ("campaign", 7),
    "GoneError": ("campaign",),
    "ConflictError": ("campaign", 7),
    "AlreadyExistsError": ("campaign", 7),
    "InvalidStateError": ("campaign", 7),
    "VersionConflictError": ("campaign", 7),
    "RequestTooLargeError": (1000,),
    "UnsupportedMediaTypeError": ("text/html", ["text/csv"]),
    "QuotaExceededError": ("episodes", 10, 10),
    "ExternalApiError": ("stripe",),
    "ExternalTimeoutError": ("stripe",),
    "ExternalUnavailableError": ("stripe",),
    "ExternalAuthenticationError": ("stripe",),
    "JobError": ("report", 3),
    "JobTimeoutError": ("report", 3),
    "JobQueueFullError": ("reports",),
    "ConfigurationError": ("DATABASE_URL",),
}
KINDS = sorted(
    (kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, ServiceError)),
    key=lambda kind: kind.__name__,
)
ids = lambda kind: kind.__name__  # noqa: E731


def made(kind: type[ServiceError], **told: Any) -> ServiceError:
    return kind(*ARGUMENTS.get(kind.__name__, ()), **told)


class CampaignFullError(ConflictError):
    code, default_user_message = "campaign-full", "This campaign takes no more episodes."


class OddlyMadeError(ServiceError):
    code = "oddly-made"

    def __init__(self, *, first: int, second: str) -> None:
        super().__init__(f"{first} and {second}", context={"first": first})
        self.first = first


def every_error() -> list[type[SeawallError]]:
    """All that Seawall declares, in any of its modules that can be imported here."""
    for module in pkgutil.walk_packages(seawall.__path__, "seawall."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found, waiting = [], [SeawallError]
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind.__module__.startswith("seawall.") and not kind.__name__.startswith("_"):
            found.append(kind)
    return sorted(set(found), key=lambda kind: kind.__name__)


ALL = every_error()


def test_there_are_as_many_as_a_service_needs():
    assert len([kind for kind in KINDS if kind.__name__.endswith("Error")]) >= 25


def test_no_two_errors_have_one_code():
    codes: dict[str, set[str]] = {}
    for kind in ALL:
        # A root that is only caught shares its code with nobody that is raised.
        if "code" in vars(kind) or kind is SeawallError:
            codes.setdefault(kind.code, set()).add(kind.__qualname__)
    assert {code: names for code, names in codes.items() if len(names) > 1} == {}


@pytest.mark.parametrize("kind", ALL, ids=ids)
def test_every_error_can_answer_a_request_and_be_counted(kind):
    assert re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", kind.code)
    assert 400 <= kind.status <= 599
    assert kind.category in CATEGORIES
    assert kind.severity in Severity
    if kind.retryable:
        assert kind.status in {409, 429, 502, 503, 504}
    if kind.status in {429, 503, 504}:
        assert kind.retryable or kind.__name__ in {"QuotaExceededError", "CommitUnknownError"}


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_the_caller_never_reads_the_detail_and_the_log_does(kind):
    error = made(kind, detail=INSIDE, context={"attempt": 3})
    assert INSIDE in str(error)
    assert INSIDE not in error.user_message
    assert error.user_message[-1] in ".0"
    assert "{" not in error.user_message
    assert INSIDE not in repr(error.members)
    assert error.context == {"attempt": 3}


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_a_message_of_its_own_is_told_as_it_is(kind):
    assert made(kind, user_message="{not} filled in").user_message == "{not} filled in"


@pytest.mark.parametrize("kind", KINDS, ids=ids)
def test_there_is_something_to_read_without_a_detail(kind):
    assert str(made(kind))


@pytest.mark.parametrize(
    "error",
    [
        *(made(kind, detail=INSIDE, user_message="Sorry.", context={"a": [1]}) for kind in KINDS),
        CampaignFullError("campaign", 7, "42 of 42"),
        OddlyMadeError(first=1, second="two"),
        ExternalApiError("stripe", upstream_status=500, retry_after=2.5),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize(
    "again",
    [copy.copy, copy.deepcopy, *(lambda e, p=p: pickle.loads(pickle.dumps(e, p)) for p in range(6))],
    ids=["copy", "deepcopy", *(f"pickle{protocol}" for protocol in range(6))],
)
def test_errors_are_copied_and_pickled_whole(error, again):
    error = copy.deepcopy(error)
    error.add_note("seen")
    other = again(error)
    assert type(other) is type(error)
    assert (str(other), other.user_message, other.attributes) == (str(error), error.user_message, error.attributes)
    assert other.args == error.args
    assert other.__notes__ == ["seen"]


def test_a_copy_has_a_context_of_its_own():
    error = NotFoundError("campaign", context={"a": [1]})
    copy.deepcopy(error).context["a"].append(2)
    assert error.context == {"a": [1]}


def test_an_error_of_a_service_is_two_lines():
    error = CampaignFullError("campaign", 7)
    assert (error.code, error.status, error.category) == ("campaign-full", 409, "conflict")
    assert error.user_message == "This campaign takes no more episodes."
    assert error.members == {"resource": "campaign", "resource_id": 7}


@pytest.mark.parametrize(
    ("error", "message", "told", "members"),
    [
        (
            NotFoundError("campaign", 7, "deleted"),
            "campaign 7 was not found: deleted",
            "There is no such campaign.",
            {"resource": "campaign", "resource_id": 7},
        ),
        (NotFoundError("campaign"), "campaign was not found", "There is no such campaign.", {"resource": "campaign"}),
        (
            ExternalApiError("stripe", detail="card_error", upstream_status=402),
            "stripe failed with status 402: card_error",
            "A service that we need has failed; please try again in a moment.",
            {},
        ),
        (
            PermissionDeniedError("campaigns:write"),
            "permission 'campaigns:write' is missing",
            "You may not do this.",
            {},
        ),
        (
            QuotaExceededError("episodes", 10, 12),
            "quota 'episodes' is used up (12 of 10)",
            "Your allowance of episodes is used up.",
            {"quota": "episodes", "limit": 10, "used": 12},
        ),
        (
            ValidationError("end", "must be after the start"),
            "end must be after the start",
            "end: must be after the start",
            {
                "field": "end",
                "reason": "must be after the start",
                "errors": [{"field": "end", "message": "must be after the start", "code": "invalid"}],
            },
        ),
        (ServiceError(), "Something went wrong on our side.", "Something went wrong on our side.", {}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_is_told_to_whom(error, message, told, members):
    assert (str(error), error.user_message, error.members) == (message, told, members)


def test_values_from_outside_are_no_templates():
    assert ValidationError("{context}", "{detail}").user_message == "{context}: {detail}"


def test_a_401_says_how_to_sign_in():
    assert AuthenticationError().headers == {"WWW-Authenticate": "Bearer"}
    assert 'error="invalid_token"' in TokenExpiredError().headers["WWW-Authenticate"]


def test_when_to_come_back_is_an_attribute():
    assert TooManyRequestsError(retry_after=2.5).retry_after == 2.5
    assert ExternalTimeoutError("stripe", retry_after=1.0).retry_after == 1.0
    assert TooManyRequestsError().retry_after is None


def test_timeouts_and_wrong_values_are_what_python_calls_so():
    assert isinstance(ExternalTimeoutError("stripe"), TimeoutError)
    assert isinstance(ValidationError("end"), ValueError)


def test_two_errors_share_no_context():
    assert ServiceError().context is not ServiceError().context


@pytest.mark.parametrize(
    ("attributes", "option"),
    [
        ({"code": "Campaign Full"}, "code"),
        ({"code": ""}, "code"),
        ({"category": "a_b"}, "category"),
        ({"status": 200}, "status"),
        ({"status": 600}, "status"),
        ({"severity": "terrible"}, "severity"),
        ({"default_user_message": "open {brace"}, "default_user_message"),
        ({"default_user_message": "{0}"}, "default_user_message"),
        ({"default_user_message": "{context[password]}"}, "default_user_message"),
    ],
)
def test_a_class_that_could_not_answer_is_refused(attributes, option):
    with pytest.raises(OptionError) as refused:
        type("OddError", (ServiceError,), attributes)
    assert (refused.value.owner, refused.value.option) == ("OddError", option)
    assert refused.value.allowed


def test_a_message_with_an_attribute_that_is_missing_is_a_message():
    class OddError(ServiceError):
        default_user_message = "about {nothing}"

    assert OddError().user_message == "about nothing"


def test_each_error_is_in_the_reference_as_it_is():
    rows: dict[str, str] = {}
    for line in (ROOT / "docs/reference/errors.md").read_text().splitlines():
        names, *facts = [cell.strip() for cell in line.strip("|").split("|")]
        for number, name in enumerate(re.findall(r"`(?:\w+\.)?(\w+Error)`", names)):
            # A row of several errors has a fact for each, or one for all.
            each = [fact.split(", ") for fact in facts[:5]]
            rows.setdefault(name, " | ".join(fact[number] if len(fact) > 1 else fact[0] for fact in each))
    roots = {"SeawallError", "CacheError", "DatabaseError", "RedisError"}
    for kind in ALL:
        if kind.__name__ not in roots:
            retryable = "yes" if kind.retryable else ""
            found = rows.get(kind.__name__, "nothing").removesuffix("no")
            assert found == f"`{kind.code}` | {kind.status} | {kind.category} | {kind.severity} | {retryable}", kind


def test_each_error_is_in_the_tree():
    tree = errors.__doc__ or ""
    names = {kind.__name__: kind.status for kind in KINDS}
    assert {name: status for name, status in names.items() if not re.search(rf"\b{name}\b", tree)} == {}
