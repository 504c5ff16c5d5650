"""Stands between a server and PgBouncer, counts the round trips, and notes the statements.

It ends TLS on both sides, with PgBouncer's own certificate on the one. A round trip begins when the client sends
something while nothing it sent before waits for an answer: statements that are sent together are one.
"""

import asyncio
import ssl
import struct
import threading
from dataclasses import dataclass, field
from pathlib import Path

from servers import PGBOUNCER

PORT = 6433
SSL_REQUEST = struct.pack("!II", 8, 80877103)


@dataclass
class Counted:
    """Since it was last taken."""

    exchanges: int = 0
    statements: list[str] = field(default_factory=list)


class Proxy:
    """Runs beside, on a thread of its own."""

    def __init__(self, files: Path):
        self.server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.server_side.load_cert_chain(files / "server.pem", files / "server.key")
        self.client_side = ssl.create_default_context(cafile=files / "ca.pem")
        self.counted = Counted()
        self.loop = asyncio.new_event_loop()
        listening = threading.Event()
        threading.Thread(target=self._run, args=(listening,), daemon=True).start()
        if not listening.wait(10):
            raise RuntimeError("the counting proxy does not listen")

    def take(self) -> Counted:
        """What was counted since this was last called."""
        taken, self.counted = self.counted, Counted()
        return taken

    def _run(self, listening: threading.Event) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", PORT))
        listening.set()
        self.loop.run_forever()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if await reader.readexactly(8) != SSL_REQUEST:
                raise ConnectionError("a client that does not ask for TLS")
            writer.write(b"S")
            await writer.start_tls(self.server_side)
            upstream_reader, upstream_writer = await asyncio.open_connection("localhost", PGBOUNCER)
            upstream_writer.write(SSL_REQUEST)
            await upstream_reader.readexactly(1)
            await upstream_writer.start_tls(self.client_side, server_hostname="localhost")
            conversation = Conversation(self)
            await asyncio.gather(
                pump(reader, upstream_writer, conversation.said), pump(upstream_reader, writer, conversation.heard)
            )
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        finally:
            writer.close()


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, look) -> None:
    while data := await reader.read(1 << 16):
        look(data)
        writer.write(data)
        await writer.drain()
    writer.close()


class Conversation:
    """One connection's messages."""

    def __init__(self, proxy: Proxy):
        self.proxy = proxy
        self.frontend, self.backend = bytearray(), bytearray()
        self.started = False
        # Until the first ReadyForQuery it is the login.
        self.waiting = 1
        self.named: dict[bytes, str] = {}

    def said(self, data: bytes) -> None:
        if self.waiting == 0:
            self.proxy.counted.exchanges += 1
        self.frontend += data
        if not self.started:
            # The first message has no type.
            (length,) = struct.unpack_from("!I", self.frontend)
            del self.frontend[:length]
            self.started = True
        for kind, body in messages(self.frontend):
            if kind in b"SQ":
                self.waiting += 1
            if kind in b"P":
                name, statement = body.split(b"\0")[:2]
                self.named[name] = statement.decode()
            elif kind in b"B":
                name = body.split(b"\0")[1]
                self.proxy.counted.statements.append(self.named.get(name, "?"))
            elif kind in b"Q":
                self.proxy.counted.statements.append(body.rstrip(b"\0").decode())

    def heard(self, data: bytes) -> None:
        self.backend += data
        self.waiting -= sum(kind == b"Z" for kind, _ in messages(self.backend))


def messages(buffer: bytearray):
    """Takes whole messages out of the buffer."""
    while len(buffer) >= 5:
        (length,) = struct.unpack_from("!I", buffer, 1)
        if len(buffer) < 1 + length:
            return
        yield bytes(buffer[:1]), bytes(buffer[5 : 1 + length])
        del buffer[: 1 + length]
