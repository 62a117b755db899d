"""The server's half of SPDY/3.1 port forwarding, for the stand-in of an API server.

https://www.chromium.org/spdy/spdy-protocol/spdy-protocol-draft3-1/, and of Kubernetes
`staging/src/k8s.io/client-go/tools/portforward`: for each connection an error stream and a data
stream with the same `requestid`. Flow control is left out, as by Kubernetes' own library.
"""

from __future__ import annotations

import shutil
import socket
import struct
import threading
import zlib
from functools import cache
from pathlib import Path

SYN_STREAM, SYN_REPLY, RST_STREAM, PING, GOAWAY = 1, 2, 3, 6, 7
FIN = 0x01
# The headers are compressed with a dictionary of the protocol, of this length and checksum.
DICTIONARY_BYTES, DICTIONARY_ADLER32 = 1423, 0xE3C6A7C2
DICTIONARY_BEGINS = b"\x00\x00\x00\x07options\x00\x00\x00\x04head"


@cache
def dictionary() -> bytes | None:
    """Return the dictionary, out of the kubectl that is tested; None if it has none."""
    kubectl = shutil.which("kubectl")
    content = Path(kubectl).resolve().read_bytes() if kubectl else b""
    at = content.find(DICTIONARY_BEGINS)
    found = content[at : at + DICTIONARY_BYTES] if at >= 0 else b""
    return found if zlib.adler32(found) == DICTIONARY_ADLER32 else None


def serve(client: socket.socket, reader, connect) -> None:
    """Forward every connection of a client until it leaves.

    Args:
        client: the connection, upgraded.
        reader: its buffered reader.
        connect: returns a socket to a port of the pod.
    """
    _Session(client, reader, connect).run()


class _Session:
    def __init__(self, client, reader, connect):
        self.client, self.reader, self.connect = client, reader, connect
        self.inflate = zlib.decompressobj(zdict=dictionary())
        self.deflate = zlib.compressobj(zdict=dictionary())
        self.lock = threading.Lock()
        self.errors: dict[str, int] = {}
        self.sockets: dict[int, socket.socket] = {}

    def run(self):
        try:
            while len(head := self.reader.read(8)) == 8:
                first, flags_length = struct.unpack("!II", head)
                flags, length = flags_length >> 24, flags_length & 0xFFFFFF
                body = self.reader.read(length)
                if first >> 31:
                    self._control(first & 0xFFFF, body)
                else:
                    self._data(first, body, flags)
        except OSError:
            pass
        finally:
            for each in self.sockets.values():
                each.close()

    def _control(self, kind, body):
        if kind == SYN_STREAM:
            (stream,) = struct.unpack("!I", body[:4])
            self._opened(stream, self._headers(body[10:]))
        elif kind == PING:
            self._send(struct.pack("!HHI", 0x8003, PING, 4) + body)

    def _headers(self, block):
        plain = self.inflate.decompress(block)
        (count,), at, words = struct.unpack("!I", plain[:4]), 4, []
        for _ in range(2 * count):
            (length,) = struct.unpack("!I", plain[at : at + 4])
            words.append(plain[at + 4 : at + 4 + length].decode())
            at += 4 + length
        return dict(zip(words[::2], words[1::2], strict=True))

    def _opened(self, stream, headers):
        with self.lock:
            block = self.deflate.compress(struct.pack("!I", 0))
            block += self.deflate.flush(zlib.Z_SYNC_FLUSH)
            frame = struct.pack("!HHII", 0x8003, SYN_REPLY, 4 + len(block), stream) + block
            self.client.sendall(frame)
        if headers["streamtype"] == "error":
            self.errors[headers["requestid"]] = stream
            return
        error = self.errors[headers["requestid"]]
        try:
            pod = self.connect(int(headers["port"]))
        except OSError as refused:
            self._frame(error, str(refused).encode(), FIN)
            self._frame(stream, b"", FIN)
            return
        self.sockets[stream] = pod
        threading.Thread(target=self._back, args=(stream, error, pod), daemon=True).start()

    def _back(self, stream, error, pod):
        try:
            while part := pod.recv(65536):
                self._frame(stream, part, 0)
        except OSError:
            pass
        try:
            self._frame(stream, b"", FIN)
            self._frame(error, b"", FIN)
        except OSError:
            pass

    def _data(self, stream, body, flags):
        pod = self.sockets.get(stream)
        if pod is None:
            return
        try:
            if body:
                pod.sendall(body)
            if flags & FIN:
                pod.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _frame(self, stream, body, flags):
        self._send(struct.pack("!II", stream, flags << 24 | len(body)) + body)

    def _send(self, frame):
        with self.lock:
            self.client.sendall(frame)
