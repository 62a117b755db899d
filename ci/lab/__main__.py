"""Install the system packages that tests need, as root on Debian: `python -m ci.lab [slurm]`."""

from __future__ import annotations

import sys

from ci.errors import LamplighterError
from ci.lab.programs import need_libraries, need_programs
from ci.lab.slurm import need_slurm


def main(words: list[str]) -> int:
    """Install the missing packages, with `slurm` those of Slurm too; return the exit code."""
    try:
        need_programs()
        need_libraries()
        if "slurm" in words:
            need_slurm()
    except LamplighterError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command line of its own
        return int(error.exit_code)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
