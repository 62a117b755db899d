"""What is sent to a host first: a loader, and the modules of ci/remote. Reads only those."""

from __future__ import annotations

import functools
import importlib.util
import json
import marshal
import shlex
import zlib
from importlib.machinery import SourceFileLoader
from pathlib import Path

REMOTE = Path(__file__).parents[1] / "remote"

# Imported when an agent starts, or when it reads facts: sent as they are. The others are packed,
# each for itself, until they are imported: every 100 KB cost a host and us 3 ms of CPU.
UNPACKED = (
    "facts.facts",
    "facts.limits",
    "facts.network",
    "facts.places",
    "facts.ports",
    "facts.shared_files",
    "facts.software",
    "loop.agent",
    "loop.checks",
    "loop.follows",
    "loop.watches",
    "loop.workers",
    "names",
    "poller",
    "requests.memory",
    "supervise.control",
    "supervise.presence",
    "supervise.store",
)
# Sent by a Python of another version than ours.
WANTS_SOURCES = b'{"event": "sources"}\n'
FLAGS = "-ISB"  # neither site packages nor PYTHON* variables; leaves no bytecode

# Runs what was compiled here where that Python is the same as ours, for compiling takes 10 ms on
# each host; else it asks for the sources. Reads from the raw stream: what follows belongs to the
# agent. `zlib` is imported only where it is needed. PASSED is how much there is to pass over first.
LOADER = """\
import sys,marshal
r=sys.stdin.buffer.raw
def read(n):
 b=b""
 while len(b)<n:
  c=r.read(n-len(b))
  if not c: sys.exit(1)
  b+=c
 return b
read(PASSED)
magic,code=(read(int(read(8))) for _ in "mc")
if getattr(sys.modules.get("_frozen_importlib_external"),"MAGIC_NUMBER",0)==magic:
 P=marshal.loads(code)
else:
 import json,zlib
 print('\\n{"event": "sources"}',flush=True)
 P=json.loads(zlib.decompress(read(int(read(8)))))
class Carried:
 @staticmethod
 def find_spec(name,path=None,target=None):
  if name in P: return type(sys.__spec__)(name,Carried,is_package=P[name] is None)
 @staticmethod
 def create_module(spec): return None
 @staticmethod
 def exec_module(module):
  c=P[module.__name__]
  if type(c) is bytes:
   import zlib
   c=marshal.loads(zlib.decompress(c))
  exec(c or "",module.__dict__)
sys.meta_path.insert(0,Carried)
from ci.remote.loop.agent import main
main()
"""


def command(python: str, passed: int = 0) -> list[str]:
    """Give the command that runs the loader.

    Its code is in hexadecimal, as shells differ in what they read between quotes: csh knows `!`,
    and ends a command at a newline.

    Args:
        python: the program on the host.
        passed: how many bytes of its input it passes over first.
    """
    code = f"PASSED={passed}\n{LOADER}".encode().hex()
    return [python, FLAGS, "-c", f'exec(bytes.fromhex("{code}"))']


def typed(python: str) -> bytes:
    """Give the command as a line of input.

    A start-up file that replaces the shell (`exec zsh`) drops the command that the shell was given;
    the other shell then reads its commands from here.
    """
    return f"exec {shlex.join(command(python))}\n".encode()


@functools.cache
def parcel() -> bytes:
    """Give what the loader reads: two parts, each after its length in eight digits.

    They are the mark of this Python's bytecode, and the modules in that bytecode, marshalled.
    """
    unpacked = {f"ci.remote.{name}" for name in UNPACKED}
    # The loader keeps what it compiled beside the sources, as an import would.
    compiled = {
        name: SourceFileLoader(name, str(path)).get_code(name) for name, path in _files().items()
    }
    modules = {
        name: code if name in unpacked else zlib.compress(marshal.dumps(code))
        for name, code in compiled.items()
    }
    return _part(importlib.util.MAGIC_NUMBER) + _part(marshal.dumps(_packages() | modules))


@functools.cache
def sources() -> bytes:
    """Give what the loader reads after its `sources` event: JSON, deflated."""
    modules = {name: path.read_text("utf-8") for name, path in _files().items()}
    return _part(zlib.compress(json.dumps(_packages() | modules).encode()))


def _files() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(REMOTE.parents[1]).with_suffix("").parts): path
        for path in sorted(REMOTE.rglob("*.py"))
        if path.stem != "__init__"
    }


def _packages() -> dict[str, object]:
    """Give the packages, which hold no code: None marks them."""
    rooms = {name.rpartition(".")[0] for name in _files()}
    return dict.fromkeys(("ci", "ci.remote", *sorted(rooms)))


def _part(data: bytes) -> bytes:
    return b"%08d%s" % (len(data), data)
