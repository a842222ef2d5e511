"""What Seawall takes from redis-py: its transport, also behind TLS and on a Unix socket, and what it has inside."""

import asyncio
import datetime
import ssl
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from redis.asyncio.connection import Connection

from seawall.redis import Redis
from seawall.redis.handover import HandoverError, Taker, open_and_take
from tests.integration.redis_waiting import run

PRIVATE = "redis-py changed inside: pin `redis` in pyproject.toml, then mend src/seawall/redis/handover.py"


class Recorder(Taker):
    def __init__(self) -> None:
        self.data = b""
        self.closed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed.set()


def opened(port: int) -> Connection:
    return Connection(port=port, protocol=3, driver_info=None)


def test_redis_py_has_inside_what_the_handover_reaches_for(valkey):
    async def main() -> None:
        connection: Any = opened(valkey.port)
        await connection.connect()
        reader: Any = connection._reader
        assert isinstance(connection._reader, asyncio.StreamReader), PRIVATE
        assert isinstance(connection._writer, asyncio.StreamWriter), PRIVATE
        assert isinstance(reader._buffer, bytearray), PRIVATE
        assert reader._eof is False, PRIVATE
        assert connection._parser._reader.has_data() is False, PRIVATE
        await connection.disconnect()

    run(main())


@pytest.mark.parametrize("missing", ["_parser", "_reader"])
def test_another_redis_py_is_told_apart(valkey, missing):
    async def main() -> None:
        class Changed(Connection):
            async def connect(self) -> None:
                await super().connect()  # type: ignore[no-untyped-call]
                kept.append((self._writer, self._reader, self._parser))
                setattr(self, missing, None)

        kept: list[Any] = []
        with pytest.raises(HandoverError, match="redis-py changed inside"):
            await open_and_take(Changed(port=valkey.port, protocol=3), Recorder)
        await asyncio.sleep(0)

    run(main())


def test_what_was_read_beyond_the_greeting_is_handed_on(valkey):
    async def main() -> None:
        class Eager(Connection):
            async def connect(self) -> None:
                await super().connect()  # type: ignore[no-untyped-call]
                assert self._writer is not None
                self._writer.write(b"PING\r\n" * 20_000)
                # More than its stream reader's limit, so that it has stopped reading.
                reader: Any = self._reader
                while len(reader._buffer) < 2 * reader._limit:
                    await asyncio.sleep(0)

        taken = await open_and_take(Eager(port=valkey.port, protocol=3), Recorder)
        while len(taken.data) < 7 * 20_000:
            await asyncio.sleep(0)
        assert taken.data == b"+PONG\r\n" * 20_000
        taken.transport.abort()
        await taken.closed.wait()

    run(main())


def test_over_a_unix_socket(make_valkey, tmp_path):
    path = tmp_path / "valkey.sock"
    make_valkey(config={"unixsocket": str(path)})

    async def main() -> None:
        async with Redis(f"unix://{path}?db=3") as redis:
            assert await redis.execute("SET", "key", "value")
            assert await redis.get(b"key") == b"value"
            assert str(path) in (await redis.check()).message

    run(main())


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for localhost with its key, in one file, its own authority."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "certificate.pem"
    file.write_bytes(
        signed.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return file


def test_over_tls(valkey, certificate):
    """The server's side of TLS is a proxy, for the server in the wheel speaks none."""

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream = await asyncio.open_connection("127.0.0.1", valkey.port)
        await asyncio.gather(pipe(reader, upstream[1]), pipe(upstream[0], writer))

    async def main() -> None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
        server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
        port = server.sockets[0].getsockname()[1]
        try:
            async with Redis(
                f"rediss://localhost:{port}/0?ssl_ca_certs={certificate}", timeout=0.5, connect_timeout=2.0
            ) as redis:
                assert redis.connected, (await redis.check()).message
                value = b"x" * 1_000_000
                await redis.execute("SET", "key", value)
                assert await asyncio.gather(*(redis.get(b"key") for _ in range(5))) == [value] * 5
            async with Redis(f"rediss://localhost:{port}/0", connect_timeout=2.0) as redis:
                assert "CERTIFICATE_VERIFY_FAILED" in (await redis.check()).message
        finally:
            server.close()
            while len(asyncio.all_tasks()) > 1:
                await asyncio.sleep(0.01)

    run(main())
