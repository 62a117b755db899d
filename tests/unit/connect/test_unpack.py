"""What hosts send is unpacked below one folder, or refused: nothing outside is ever touched."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zlib
from itertools import chain, count, repeat
from typing import TYPE_CHECKING

import hostile_archives as hostile
import pytest
from hostile_archives import archive, file, folder, hard_link, header, long_name, pax, symlink
from hypothesis import given
from hypothesis import strategies as st

from ci.connect.tar_stream import (
    MAX_BYTES,
    MAX_HEADER_BYTES,
    ArchiveTooLarge,
    BadArchive,
    TarStream,
    _records,
)
from ci.connect.unpack import MAX_NAMED, unpack

if TYPE_CHECKING:
    from pathlib import Path

TERABYTE = 1 << 40
EIGHT_GB = 8 << 30
ESCAPE = b"\x1b]0;owned\x07"


@pytest.fixture
def local(tmp_path: Path) -> Path:
    """Where things are unpacked; beside it lies what must not change."""
    (tmp_path / "victim").write_text("mine")
    (tmp_path / "run").mkdir()
    return tmp_path / "run" / "local"


@pytest.fixture(autouse=True)
def _nothing_outside(local: Path):
    """Whatever is unpacked: no file outside is changed or made, and only files and folders are."""
    yield
    outside = local.parent.parent
    assert sorted(path.name for path in outside.iterdir()) == ["run", "victim"]
    assert (outside / "victim").read_text() == "mine"
    assert (outside / "victim").stat().st_nlink == 1
    assert [path.name for path in (outside / "run").iterdir()] in ([], ["local"])
    for path in local.rglob("*"):
        assert not path.is_symlink()
        assert path.is_dir() or path.is_file()


def unpacked(data: bytes, local: Path, **bounds) -> tuple[str, ...]:
    return unpack(hostile.pieces(data).__next__, local, **bounds)


def tree(local: Path) -> dict[str, bytes | None]:
    return {
        str(path.relative_to(local)): path.read_bytes() if path.is_file() else None
        for path in sorted(local.rglob("*"))
    }


REFUSED = {
    "a name that leads up": file(b"../victim"),
    "a name that leads up later": file(b"a/../../victim"),
    "a folder that leads up": folder(b"../made/"),
    "a link that leads up": symlink(b"../made", b"x"),
    "an absolute name": file(b"/tmp/lamplighter-was-here"),
    "a prefix that makes it absolute": file(b"was-here", prefix=b"/tmp"),
    "a prefix that leads up": file(b"victim", prefix=b".."),
    "an empty name": file(b""),
    "an empty part": file(b"a//b"),
    "the folder's own name": header(b".", size=4) + hostile.padded(b"data"),
    "a dot in the middle": file(b"a/./b"),
    "two of a name": file(b"a", b"first") + file(b"a", b"second"),
    "a file, then a folder of its name": file(b"a") + folder(b"a"),
    "a folder, then a file of its name": folder(b"a") + file(b"a"),
    "a file below a file": file(b"a") + file(b"a/b"),
    "a file through a link": symlink(b"a", b"..") + file(b"a/victim"),
    "a file through a link further up": symlink(b"a", b"..") + file(b"a/b/victim"),
    "a link, then a file of its name": symlink(b"a", b"../victim") + file(b"a"),
    "a link, then a folder of its name": symlink(b"a", b"..") + folder(b"a/"),
    "a link twice": symlink(b"a", b"..") * 2,
    "a hard link, then a file of its name": hard_link(b"a", b"../victim") + file(b"a"),
    "a part that no file system takes": long_name(b"a" * 256) + file(b"a"),
    "a long path": long_name(b"/".join([b"a" * 200] * 20)) + file(b"a"),
    "a deep path": long_name(b"/".join([b"a"] * 65)) + file(b"a"),
    "an extended path that leads up": pax((b"path", b"../victim")) + file(b"harmless"),
    "an extended path with a NUL": pax((b"path", b"a\0b")) + file(b"harmless"),
    "an extended size below zero": pax((b"size", b"-1")) + file(b"a"),
    "an extended size that is no number": pax((b"size", b"4_0")) + file(b"a"),
    "an extended size of many digits": pax((b"size", b"9" * 5000)) + file(b"a"),
    "a huge extended header": header(b"x", b"x", TERABYTE),
    "a huge long name": header(b"x", b"L", TERABYTE),
    "a huge link name": header(b"x", b"K", TERABYTE),
    "an extended header twice": pax((b"path", b"a")) * 2 + file(b"a"),
    "an extended header alone": pax((b"path", b"a")) + hostile.END,
    "an extended header of another length": header(b"x", b"x", 9)
    + hostile.padded(b"99 path=a")
    + file(b"a"),
    "an extended header of many records": pax(*((b"%d" % n, b"") for n in range(257))) + file(b"a"),
    "an extended header with a key twice": pax((b"path", b"a"), (b"path", b"b")) + file(b"a"),
    "an extended header of 8 GB": header(b"x", b"x", EIGHT_GB - 1),
    "an extended header of 8 GB, binary": header(
        b"x", b"x", b"\x80" + EIGHT_GB.to_bytes(11, "big")
    ),
    "a long name of 8 GB, binary": header(b"x", b"L", b"\x80" + EIGHT_GB.to_bytes(11, "big")),
    "a header just over its bound": header(b"x", b"x", MAX_HEADER_BYTES + 1),
    "a long name twice": long_name(b"a") * 2 + file(b"a"),
    "a long name alone": long_name(b"a") + hostile.END,
    "a sparse map in pax records": pax((b"GNU.sparse.map", b"0,1")) + file(b"a"),
    "an extended header whose first record has no space": header(b"x", b"x", 600)
    + hostile.padded(b"1" * 600)
    + file(b"a"),
    "an extended header without end": header(b"x", b"x", 4) + hostile.padded(b"7777") + file(b"a"),
    "an extended header of length 0": header(b"x", b"x", 7)
    + hostile.padded(b"0 a=bb\n")
    + file(b"a"),
    "a header for all members": pax((b"path", b"../victim"), kind=b"g") + file(b"a"),
    "a sparse file, old": header(b"a", b"S", 4) + hostile.padded(b"data"),
    "a sparse file, new": pax((b"GNU.sparse.major", b"1")) + file(b"a"),
    "an unknown type": header(b"a", b"V"),
    "a type that is no letter": header(b"a", b"\xff"),
    "a wrong checksum": header(b"a", checksum=1),
    "a size below zero": header(b"a", size=b"-0000000001\0"),
    "a binary size below zero": header(b"a", size=b"\xff" * 12),
    "a size in words": header(b"a", size=b"four\0"),
    "a folder with content": header(b"a", b"5", 4) + hostile.padded(b"data"),
    "a link with content": header(b"a", b"2", 4, link=b"x") + hostile.padded(b"data"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_no_honest_tar_writes_is_refused(local: Path, what: str):
    good = file(b"before", b"good")
    with pytest.raises(BadArchive):
        unpacked(archive(good, REFUSED[what], file(b"after")), local)
    assert tree(local)["before"] == b"good"
    assert "after" not in tree(local)


def test_the_first_of_two_files_of_a_name_stays(local: Path):
    with pytest.raises(BadArchive, match="there already"):
        unpacked(archive(REFUSED["two of a name"]), local)
    assert tree(local) == {"a": b"first"}


def test_links_beyond_path_max_lead_nowhere(local: Path):
    """CVE-2025-4517: `tarfile` with filter="data" writes the victim, up to Python 3.13.3."""
    with pytest.raises(BadArchive, match=r"its name has \d+ bytes"):
        unpacked(hostile.beyond_path_max("../../victim", b"theirs"), local)


LEFT_OUT = {
    "a symbolic link": symlink(b"a", b"/etc/passwd"),
    "a hard link": hard_link(b"a", b"../../victim"),
    "a FIFO": header(b"a", b"6"),
    "a character device": header(b"a", b"3"),
    "a block device": header(b"a", b"4"),
    "its name is not UTF-8": file(b"a\xff"),
    "its name has control characters": file(b"a" + ESCAPE),
}


@pytest.mark.parametrize("why", LEFT_OUT)
def test_what_an_ordinary_folder_may_hold_is_left_out_by_name(local: Path, why: str):
    left_out = unpacked(archive(LEFT_OUT[why], file(b"after")), local)
    assert len(left_out) == 1
    assert left_out[0].startswith("a")
    assert left_out[0].endswith(f"({why})")
    assert left_out[0].isprintable()
    assert tree(local) == {"after": b"data"}


def test_links_that_are_there_already_are_not_followed(local: Path):
    local.mkdir()
    (local / "up").symlink_to("../..")
    (local / "victim").symlink_to("../../victim")
    (local / "tied").hardlink_to(local / "../../victim")
    try:
        for data in (file(b"up/victim"), file(b"victim"), file(b"tied"), folder(b"up/made")):
            with pytest.raises(BadArchive):
                unpacked(archive(data), local)
    finally:
        for name in ("up", "victim", "tied"):
            (local / name).unlink()


def test_only_so_much_of_what_is_left_out_is_named(local: Path):
    links = [symlink(b"%d" % number, b"x") for number in range(MAX_NAMED + 5)]
    left_out = unpacked(archive(*links), local)
    assert len(left_out) == MAX_NAMED + 1
    assert left_out[-1] == "5 more"


def test_links_without_end_are_not_counted_for_ever(local: Path):
    links = hostile.endless(symlink(b"%d" % number, b"x") for number in count())
    with pytest.raises(ArchiveTooLarge, match="10000 links"):
        unpack(links.__next__, local)


# Bounds


CLAIMED = {
    "binary": header(b"a", size=b"\x80" + TERABYTE.to_bytes(11, "big")),
    "extended": pax((b"size", b"%d" % TERABYTE)) + header(b"a"),
    "of 20 digits": pax((b"size", b"9" * 20)) + header(b"a"),
    "octal": header(b"a", size=4 << 30),
}


@pytest.mark.parametrize("how", CLAIMED)
def test_a_size_over_the_bound_is_refused_before_a_byte_of_it_is_read(local: Path, how: str):
    with pytest.raises(ArchiveTooLarge, match="a: more than"):
        unpacked(gzip.compress(CLAIMED[how]), local, max_bytes=1 << 30)
    assert tree(local) == {}


def test_a_terabyte_is_over_the_bound_as_it_stands(local: Path):
    with pytest.raises(ArchiveTooLarge, match=str(MAX_BYTES)):
        unpacked(gzip.compress(CLAIMED["binary"]), local)


def test_many_files_are_too_large_together(local: Path):
    members = [file(b"%d" % number, bytes(1000)) for number in range(9)]
    with pytest.raises(ArchiveTooLarge, match="10000 bytes"):
        unpacked(archive(*members), local, max_bytes=10_000)
    assert 0 < len(tree(local)) < 9


@pytest.mark.parametrize("kind", ["files", "folders", "deep folders"])
def test_a_million_entries(local: Path, kind: str):
    def member(number: int) -> bytes:
        name = b"%07d" % number
        if kind == "deep folders":
            return folder(name + b"/a/b/c/d/e/f/g")
        return file(name, b"") if kind == "files" else folder(name)

    many = hostile.endless(map(member, range(1_000_000)))
    with pytest.raises(ArchiveTooLarge, match="100 entries"):
        unpack(many.__next__, local, max_entries=100)
    assert len(tree(local)) <= 100 + 8


REPEATED = {
    "a folder": folder(b"a/"),
    "the folder itself": folder(b"./"),
    "a folder, deep": folder(b"a/b/c/d/e/f/g/"),
    "a folder with an extended header": pax((b"comment", b"x")) + folder(b"a/"),
    "a folder with a long name": long_name(b"a/") + folder(b"b"),
}


@pytest.mark.parametrize("what", REPEATED)
def test_what_makes_nothing_new_is_counted_as_well(local: Path, what: str):
    again = hostile.endless(repeat(REPEATED[what], 1_000_000))
    with pytest.raises(ArchiveTooLarge, match="100 entries"):
        unpack(again.__next__, local, max_entries=100)
    assert len(tree(local)) <= 7


def test_as_many_entries_as_the_bound_are_unpacked(local: Path):
    members = [folder(b"a/"), *(file(b"a/%d" % number) for number in range(9))]
    assert unpacked(archive(*members), local, max_entries=10) == ()
    assert len(tree(local)) == 10


class Counted(bytes):
    """Bytes that count how many of them are copied out of them."""

    copied = 0

    def __getitem__(self, key):
        part = super().__getitem__(key)
        Counted.copied += len(part) if isinstance(key, slice) else 1
        return part if isinstance(key, int) else Counted(part)


@pytest.mark.parametrize("records", [1, 10, 256])
def test_a_pax_header_is_copied_a_few_times_at_most(records: int):
    """Not once for each of its records, which takes hours where there are thousands."""
    data = Counted(b"".join(hostile.record((b"k%d" % n, b"x" * 200)) for n in range(records)))
    Counted.copied = 0
    assert len(_records(data)) == records
    assert Counted.copied <= 3 * len(data)


EMPTY_BLOCK = b"\0\0\0\xff\xff"  # of deflate: stored, of no length
GZIP = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"
NOTHING_COMES = {
    "empty blocks": (GZIP, EMPTY_BLOCK * 1000),
    "the name in gzip's header": (GZIP[:3] + b"\x08" + GZIP[4:], b"n" * 5000),
}


@pytest.mark.parametrize("how", NOTHING_COMES)
def test_what_unpacks_to_nothing_does_not_go_on_for_ever(local: Path, how: str):
    begin, more = NOTHING_COMES[how]
    with pytest.raises(ArchiveTooLarge, match="compressed bytes"):
        unpack(chain([begin], repeat(more)).__next__, local, max_bytes=1 << 20)


def test_an_archive_without_end_is_not_read_for_ever(local: Path):
    in_headers = hostile.endless(repeat(pax((b"comment", b"x" * 60_000)) + folder(b"a")))
    with pytest.raises(ArchiveTooLarge):
        unpack(in_headers.__next__, local, max_bytes=1 << 20)
    with pytest.raises(BadArchive, match="after its end"):
        unpack(hostile.endless(repeat(bytes(1 << 16))).__next__, local)
    with pytest.raises(BadArchive, match="after its end"):
        unpack(hostile.endless([file(b"b"), *repeat(bytes(1 << 16), 100)]).__next__, local)


def test_a_bomb_is_unpacked_piece_by_piece(local: Path):
    """A megabyte that unpacks to a gigabyte is read in pieces, of which none is large."""
    bomb = hostile.endless([header(b"a", size=1 << 30), *repeat(bytes(1 << 20), 1024)])
    stream = TarStream(bomb.__next__, max_bytes=2 << 30)
    member = next(stream.members())
    sizes = []
    for piece in stream.content():
        sizes.append(len(piece))
        if len(sizes) > 100:
            break
    assert member.size == 1 << 30
    assert max(sizes) <= 1 << 18


GOOD = archive(folder(b"./"), folder(b"./deep/"), file(b"./deep/file", b"content" * 999))


@pytest.mark.parametrize("length", [0, 5, 20, len(GOOD) // 2, len(GOOD) - 9, len(GOOD) - 1])
def test_a_truncated_archive_is_cut_short(local: Path, length: int):
    with pytest.raises(EOFError, match="cut short"):
        unpacked(GOOD[:length], local)


@pytest.mark.parametrize(
    "data",
    [b"Welcome to this host\n" + GOOD, GOOD[:-4] + b"\0" * 4, GOOD[:50] + b"\xff" * 50 + GOOD[50:]],
    ids=["greeted", "size", "damaged"],
)
def test_what_is_no_gzip_or_damaged(local: Path, data: bytes):
    with pytest.raises((zlib.error, EOFError, BadArchive)):
        unpacked(data, local)


@given(st.data())
def test_no_damage_is_a_surprise(data):
    """Whatever byte of an archive is another: it is unpacked, or refused with a known error."""
    plain = bytearray(gzip.decompress(archive(pax((b"path", b"x/y")), file(b"z"), folder(b"d"))))
    for _ in range(data.draw(st.integers(1, 4))):
        plain[data.draw(st.integers(0, len(plain) - 1))] = data.draw(st.integers(0, 255))
    stream = TarStream(hostile.pieces(gzip.compress(bytes(plain))).__next__, 1 << 20)
    try:
        for member in stream.members():
            assert sum(map(len, stream.content())) == member.size
    except (BadArchive, ArchiveTooLarge, EOFError) as error:
        assert str(error).isprintable()  # noqa: PT017 - any of three, or none


# What honest tars write


@pytest.mark.parametrize("size", [1, 7, 512, 4096, 1 << 20])
@pytest.mark.parametrize("kind", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT, tarfile.USTAR_FORMAT])
def test_an_honest_archive_comes_whole_whatever_its_pieces(local: Path, kind: int, size: int):
    contents = {
        "deep/er/file": os.urandom(3000),
        "zeros": bytes(700_000),
        "empty": b"",
        "ünï": b"x",
    }
    if kind != tarfile.USTAR_FORMAT:
        contents["n" * 250 + "/" + "m" * 250] = b"long"
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz", format=kind) as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo("./" + name)
            member.size = len(content)
            member.mode = 0o4777
            tar.addfile(member, io.BytesIO(content))
    assert unpack(hostile.pieces(stream.getvalue(), size).__next__, local) == ()
    found = {name: content for name, content in tree(local).items() if content is not None}
    assert found == contents
    assert {path.stat().st_mode & 0o7777 for path in local.rglob("*") if path.is_file()} == {0o600}
    assert {path.stat().st_mode & 0o7777 for path in local.rglob("*") if path.is_dir()} == {0o700}
