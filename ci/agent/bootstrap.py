"""The first data for a host: a loader, and the modules of ci/remote. Reads only these files."""

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
# Travels on its own, when something is measured; see `telemetry_archive.py`.
ON_ITS_OWN = "telemetry"

# Modules that an agent imports at its start, or for the facts, are sent uncompressed. Each other
# module is compressed until its import: every 100 KB cost both sides 3 ms of CPU.
UNPACKED = (
    "facts.device_tools",
    "facts.facts",
    "facts.limits",
    "facts.network",
    "facts.places",
    "facts.ports",
    "facts.shared_files",
    "facts.software",
    "lean",
    "loop.agent",
    "loop.checks",
    "loop.follows",
    "loop.listeners",
    "loop.watches",
    "loop.workers",
    "names",
    "poller",
    "requests.memory",
    "requests.reach",
    "slurm_step",
    "supervise.control",
    "supervise.host",
    "supervise.presence",
    "supervise.store",
)
# Sent, after the mark, by a host whose Python has another version than the controller's.
WANTS_SOURCES = b'{"event": "sources"}\n'
FLAGS = "-ISB"  # neither site packages nor PYTHON* variables; leaves no bytecode

# Runs the compiled modules if the host's Python has the controller's version, because compiling
# takes 10 ms on each host; or else it requests the sources. Reads from the raw stream: the bytes
# that follow are for the agent. `zlib` is imported late. PASSED is the number of bytes to skip,
# unless a start-up file has read that line.
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
n=read(8)
if PASSED and not n.isdigit():
 read(PASSED-8)
 n=read(8)
if not n.isdigit(): sys.exit("the shell's start-up files read input that is not for them")
magic,code=read(int(n)),read(int(read(8)))
if getattr(sys.modules.get("_frozen_importlib_external"),"MAGIC_NUMBER",0)==magic:
 P=marshal.loads(code)
else:
 import json,zlib
 print('\\n%s{"event": "sources"}'%sys.argv[1],flush=True)
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
"""
# The module whose `main` the loader calls.
AGENT, HOLDER = "loop.agent", "supervise.holder"


def command(
    python: str, mark: str, workspace: str, passed: int = 0, program: str = AGENT
) -> list[str]:
    """Return the command that runs the loader.

    Its code is in hexadecimal, because shells differ in their quoting: csh expands `!`, and ends a
    command at a newline.

    Args:
        python: the program on the host.
        mark: the beginning of every frame of this agent; start-up files do not print it.
        workspace: the folder on the host whose runs the agent knows; may begin with `~`.
        passed: the number of bytes of its input to skip first.
        program: AGENT, or HOLDER of a node of a Slurm job.
    """
    start = f"from ci.remote.{program} import main\nmain(WORKSPACE)\n"
    code = f"PASSED={passed}\nWORKSPACE={workspace!r}\n{LOADER}{start}".encode().hex()
    return [python, FLAGS, "-c", f'exec(bytes.fromhex("{code}"))', mark]


def typed(python: str, mark: str, workspace: str, program: str = AGENT) -> bytes:
    """Return the command as a line of input.

    A start-up file that replaces the shell (`exec zsh`) drops the shell's command; the new shell
    then reads this line.
    """
    argv = command(python, mark, workspace, program=program)
    return f"exec {shlex.join(argv)}\n".encode()


@functools.cache
def parcel() -> bytes:
    """Return the loader's input: two parts, each after its length in eight digits.

    They are the magic number of this Python's bytecode, and the modules as marshalled bytecode.
    """
    unpacked = {f"ci.remote.{name}" for name in UNPACKED}
    # This caches the bytecode beside the sources, as an import does.
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
    """Return the loader's input after its `sources` event: compressed JSON."""
    modules = {name: path.read_text("utf-8") for name, path in _files().items()}
    return _part(zlib.compress(json.dumps(_packages() | modules).encode()))


def _files() -> dict[str, Path]:
    return {
        ".".join(path.relative_to(REMOTE.parents[1]).with_suffix("").parts): path
        for path in sorted(REMOTE.rglob("*.py"))
        if path.stem != "__init__" and path.parent.name != ON_ITS_OWN
    }


def _packages() -> dict[str, object]:
    """Return package → None, because packages have no code."""
    rooms = {name.rpartition(".")[0] for name in _files()}
    return dict.fromkeys(("ci", "ci.remote", *sorted(rooms)))


def _part(data: bytes) -> bytes:
    return b"%08d%s" % (len(data), data)
