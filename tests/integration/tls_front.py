"""TLS in front of a PostgreSQL server that has none: it answers a client's SSLRequest and forwards what follows."""

import asyncio
import datetime
import ssl
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_SSL_REQUEST = struct.pack("!ii", 8, 80877103)


def self_signed(directory: Path, host: str) -> tuple[Path, Path]:
    """A certificate for the address `host`, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.UTC)
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + datetime.timedelta(days=1))
    made = made.add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
    made = made.add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    certificate, secret = directory / "server.crt", directory / "server.key"
    certificate.write_bytes(made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    secret.write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    return certificate, secret


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


class TlsFront:
    """Forwards to port `upstream` of 127.0.0.1. encrypted, plain: how many connections there were of each kind."""

    def __init__(self, upstream: int, certificate: Path, key: Path) -> None:
        self.encrypted = self.plain = 0
        self.port = 0
        self._upstream = upstream
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate, key)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One client."""
        to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        try:
            with suppress(OSError, asyncio.IncompleteReadError):
                first = await reader.readexactly(len(_SSL_REQUEST))
                if first == _SSL_REQUEST:
                    writer.write(b"S")
                    await writer.start_tls(self._context)
                    self.encrypted += 1
                else:
                    to_writer.write(first)
                    self.plain += 1
                await asyncio.gather(_forward(reader, to_writer), _forward(to_reader, writer))
        finally:
            writer.close()
            to_writer.close()


@contextmanager
def tls_front(upstream: int, certificate: Path, key: Path) -> Iterator[TlsFront]:
    """One that runs in a thread of its own, for clients that block as well."""
    front = TlsFront(upstream, certificate, key)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> asyncio.Server:
        return await asyncio.start_server(front.serve, "127.0.0.1", 0)

    async def stop() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0.05)  # for the transports to close

    server = asyncio.run_coroutine_threadsafe(start(), loop).result()
    front.port = server.sockets[0].getsockname()[1]
    try:
        yield front
    finally:
        asyncio.run_coroutine_threadsafe(stop(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
