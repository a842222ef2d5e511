"""What the podcast service keeps, and what it answers from its cache."""

from uuid import uuid4

import pytest


class TestCache:
    """The lists and the analytics come from the cache, and it never shows."""

    def test_a_list_is_right_after_a_change_however_often_it_was_read(self, service):
        headers = {"x-tenant": "cached"}
        for number in range(3):
            body = {"title": f"Show {number}", "host": "Mia", "email": "mia@show.example"}
            service.http.post("/api/v1/podcasts", json=body, headers=headers)
            for _ in range(3):
                listed = service.http.get("/api/v1/podcasts", headers=headers).json()
                assert [podcast["title"] for podcast in listed] == [f"Show {each}" for each in range(number + 1)]

    def test_tenants_see_their_own(self, service):
        body = {"title": "Mine", "host": "Mia", "email": "mia@show.example"}
        registered = service.http.post("/api/v1/podcasts", json=body, headers={"x-tenant": "one"}).json()
        assert service.http.get("/api/v1/podcasts", headers={"x-tenant": "two"}).json() == []
        after = {"after": registered["id"]}
        assert service.http.get("/api/v1/podcasts", params=after, headers={"x-tenant": "two"}).status_code == 404
        answer = service.http.get("/api/v1/podcasts", headers={"x-tenant": "a b:{}"})
        assert answer.status_code == 422

    def test_analytics_are_counted_once_a_minute(self, service):
        campaign = service.campaign()
        service.post(f"/campaigns/{campaign}/events", {"kind": "redemption", "amount": "30.00"})
        found = service.http.get(f"/api/v1/campaigns/{campaign}/analytics").json()
        assert (found["redemptions"], found["revenue"], found["return_on_budget"]) == (1, "30.00", "0.0250")
        service.post(f"/campaigns/{campaign}/events", {"kind": "redemption", "amount": "30.00"})
        assert service.http.get(f"/api/v1/campaigns/{campaign}/analytics").json() == found
        service.admin("DELETE", "/cache?tag=tenant:main:analytics")
        assert service.http.get(f"/api/v1/campaigns/{campaign}/analytics").json()["redemptions"] == 2

    def test_an_operator_sees_and_warms_it(self, service):
        service.campaign()
        warmed = service.admin("POST", "/cache/warm").json()
        assert (warmed["completed"], warmed["failed"]) == (True, 0)
        assert [each["name"] for each in warmed["strategies"]] == ["first pages", "campaign analytics"]
        shown = service.admin("GET", "/cache").json()
        assert {"lists", "analytics"} <= shown["statistics"]["categories"].keys()
        assert [each["state"] for each in shown["warming"]] == ["completed", "completed"]

    def test_nobody_else_does(self, service):
        for method, path in (("GET", "/cache"), ("POST", "/cache/warm"), ("DELETE", "/cache?everything=true")):
            assert service.admin(method, path, token=None).status_code == 401

    def test_what_an_operator_gets_wrong_is_explained(self, service):
        answer = service.admin("POST", "/cache/warm?strategy=no")
        assert (answer.status_code, answer.json()["type"]) == (404, "urn:seawall:problem:unknown-strategy")
        assert "first pages" in answer.json()["detail"]
        answer = service.admin("DELETE", "/cache")
        assert (answer.status_code, answer.json()["type"]) == (400, "urn:seawall:problem:nothing-named")


class TestDatabase:
    """What is kept, and how it is looked at."""

    def test_an_event_is_counted_once_however_often_it_is_sent(self, service):
        campaign = service.campaign()
        event = {"id": str(uuid4()), "kind": "redemption", "amount": "12.30"}
        answers = [service.post(f"/campaigns/{campaign}/events", event) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201] * 3
        assert answers[0].json() | {"happened_at": ""} == answers[2].json() | {"happened_at": ""}
        listed = service.http.get(f"/api/v1/campaigns/{campaign}/events").json()
        assert [each["id"] for each in listed["items"]] == [event["id"]]
        elsewhere = service.post(f"/campaigns/{service.campaign()}/events", event)
        assert (elsewhere.status_code, elsewhere.json()["type"]) == (409, "urn:seawall:problem:already-exists")

    def test_events_come_newest_first_in_pages(self, service):
        campaign = service.campaign()
        ids = [service.post(f"/campaigns/{campaign}/events", {"kind": "visit"}).json()["id"] for _ in range(5)]
        found: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = service.http.get(f"/api/v1/campaigns/{campaign}/events", params={"limit": 2, **after}).json()
            found += [event["id"] for event in page["items"]]
            if page["next"] is None:
                break
            after = {"after": page["next"]}
        assert found == ids[::-1]

    @pytest.mark.parametrize("query", ["after=nonsense", "limit=0", "limit=101"])
    def test_what_is_no_page_is_refused(self, service, query):
        answer = service.http.get(f"/api/v1/campaigns/{service.campaign()}/events?{query}")
        assert answer.status_code == 422

    @pytest.mark.parametrize("event", [{"kind": "redemption"}, {"kind": "visit", "amount": "3.00"}, {"kind": "other"}])
    def test_what_is_no_event_is_refused(self, service, event):
        assert service.post(f"/campaigns/{service.campaign()}/events", event).status_code == 422

    def test_a_user_has_an_address_of_his_own(self, service):
        user = {"name": "Mia", "email": "mia@north-coast.example", "role": "owner"}
        headers = {"x-tenant": "north-coast"}
        assert service.post("/users", user, **headers).status_code == 201
        again = service.post("/users", user, **headers)
        assert (again.status_code, again.json()["detail"]) == (409, "There is such a user already.")
        assert service.post("/users", user, **{"x-tenant": "harbour"}).status_code == 201
        listed = service.http.get("/api/v1/users", headers=headers).json()
        assert [each["email"] for each in listed] == [user["email"]]

    def test_an_operator_sees_what_statements_cost(self, service):
        service.campaign()
        assert service.admin("GET", "/database").json() == {"nodes": []}  # SQLite
        queries = service.admin("GET", "/database/queries?limit=3").json()["queries"]
        assert len(queries) == 3
        assert {"statement", "count", "seconds", "median", "p99", "mean", "kind"} <= queries[0].keys()
        assert service.admin("GET", "/database/queries?limit=many").status_code == 422
        assert service.admin("GET", "/database", token=None).status_code == 401
