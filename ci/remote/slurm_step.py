"""Leave the environment of a Slurm job: what runs on its node is no task of srun.

Libraries that find these variables join the job by themselves, with the ranks and ports of srun.
"""

from __future__ import annotations

import os

# Of Slurm itself, and of the interfaces by which it starts the ranks of a program.
PREFIXES = ("SLURM_", "SLURMD_", "SBATCH_", "SALLOC_", "SRUN_", "PMI_", "PMIX_")


def leave() -> str:
    """Remove Slurm's variables from this process; return the number of its job, empty for none."""
    job = os.environ.get("SLURM_JOB_ID", "")
    for name in [name for name in os.environ if name.startswith(PREFIXES)]:
        del os.environ[name]
    return job if job.isdigit() else ""
