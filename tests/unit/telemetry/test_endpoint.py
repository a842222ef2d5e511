"""Metrics on a port of their own: what is asked, by how many, and by clients that misbehave."""

import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from http.client import HTTPConnection, RemoteDisconnected

import pytest

from seawall.telemetry.endpoint import MetricsServer


class Exposed:
    """What the server tells; how many ask it at once is remembered."""

    def __init__(self) -> None:
        self.fails = False
        self.asking = self.most = 0

    def __call__(self, accept: str) -> tuple[bytes, str]:
        if self.fails:
            message = "a-secret"
            raise RuntimeError(message)
        self.asking += 1
        self.most = max(self.most, self.asking)
        time.sleep(0.01)
        self.asking -= 1
        return b"up 1\n", accept or "text/plain"


@pytest.fixture
def exposed() -> Exposed:
    return Exposed()


@pytest.fixture
def server(exposed: Exposed) -> Iterator[MetricsServer]:
    with closing(MetricsServer(exposed, 0)) as server:
        yield server


def ask(server: MetricsServer, path: str = "/metrics", method: str = "GET") -> tuple[int, str | None, bytes]:
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    with closing(connection):
        connection.request(method, path, headers={"accept": "text/x"})
        answer = connection.getresponse()
        return answer.status, answer.getheader("content-type"), answer.read()


def test_it_tells_what_it_is_asked_for_and_nothing_else(server):
    assert ask(server) == (200, "text/x", b"up 1\n")
    assert ask(server, "/metrics?name=up")[0] == 200
    assert ask(server, "/admin")[0] == 404
    assert ask(server, method="POST")[0] == 501


def test_one_at_a_time_is_told_however_many_ask(server, exposed):
    with ThreadPoolExecutor(10) as pool:
        assert [status for status, _, _ in pool.map(lambda _: ask(server), range(40))] == [200] * 40
    assert exposed.most == 1


def test_what_goes_wrong_is_in_the_log_and_not_in_the_answer(server, exposed, caplog):
    exposed.fails = True
    status, _, body = ask(server)
    assert (status, b"secret" in body) == (500, False)
    assert "a-secret" in caplog.text
    exposed.fails = False
    assert ask(server)[0] == 200


def test_clients_that_say_nothing_or_leave_keep_nobody_waiting(server, caplog):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(15)]
    for client in silent[:5]:
        client.sendall(b"GET /metrics HTTP/1.1\r\n\r\n")
        client.close()
    began = time.monotonic()
    assert ask(server)[0] == 200
    assert time.monotonic() - began < 5
    for client in silent:
        client.close()
    assert not [record for record in caplog.records if record.name == "seawall.metrics"]


def test_more_clients_than_there_is_room_for_are_sent_away_until_others_have_left(server):
    silent = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(16)]
    time.sleep(0.2)  # until the last of them is in its thread
    with pytest.raises((ConnectionError, RemoteDisconnected)):
        ask(server)
    for client in silent:
        client.close()
    give_up = time.monotonic() + 5
    while True:
        try:
            assert ask(server)[0] == 200
            break
        except (ConnectionError, RemoteDisconnected):
            assert time.monotonic() < give_up


def test_a_port_that_is_taken_is_an_error_and_a_closed_one_is_free_again(server, exposed):
    with pytest.raises(OSError, match="in use"):
        MetricsServer(exposed, server.port)
    server.close()
    MetricsServer(exposed, server.port).close()
