"""What is sent to a host first: a loader, and the modules of ci/hosts/remote. Reads only those."""

from __future__ import annotations

import functools
import importlib.util
import json
import marshal
import zlib
from importlib.machinery import SourceFileLoader
from pathlib import Path

REMOTE = Path(__file__).with_name("remote")

# Runs what was compiled here where that Python is the same as ours, for compiling takes 10 ms on
# each host; else the sources, which are always there. Reads from the raw stream: what follows
# belongs to the agent. `json` is imported for sources alone: it takes as long as Python's start.
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
magic,code,text=(read(int(read(8))) for _ in "mct")
if getattr(sys.modules.get("_frozen_importlib_external"),"MAGIC_NUMBER",0)==magic:
 P=marshal.loads(code)
else:
 import json,zlib
 P=json.loads(zlib.decompress(text))
class Carried:
 @staticmethod
 def find_spec(name,path=None,target=None):
  if name in P: return type(sys.__spec__)(name,Carried,is_package=P[name] is None)
 @staticmethod
 def create_module(spec): return None
 @staticmethod
 def exec_module(module):
  exec(P[module.__name__] or "",module.__dict__)
sys.meta_path.insert(0,Carried)
from ci.hosts.remote.agent import main
main()
"""


@functools.cache
def parcel() -> bytes:
    """Give what the loader reads: three parts, each after its length in eight digits.

    They are the mark of this Python's bytecode, the modules in that bytecode (marshalled), and
    their sources (JSON, deflated).
    """
    packages = dict.fromkeys(("ci", "ci.hosts", "ci.hosts.remote"))
    files = {
        f"{__package__}.remote.{path.stem}": path
        for path in sorted(REMOTE.glob("*.py"))
        if path.stem != "__init__"
    }
    # The loader keeps what it compiled beside the sources, as an import would.
    compiled = {
        name: SourceFileLoader(name, str(path)).get_code(name) for name, path in files.items()
    }
    sources = {name: path.read_text("utf-8") for name, path in files.items()}
    parts = (
        importlib.util.MAGIC_NUMBER,
        marshal.dumps(packages | compiled),
        zlib.compress(json.dumps(packages | sources).encode(), 1),
    )
    return b"".join(b"%08d%s" % (len(part), part) for part in parts)
