"""A plain script over two MPI ranks: the first line runs it again under mpiexec."""

import gridrl
from gridrl.utils.mpi import mpi_sum, num_procs, proc_id

gridrl.mpi_fork(2)

total = mpi_sum(proc_id() + 1)
if proc_id() == 0:
    print(f"{num_procs()} ranks, the sum of 1 to {num_procs()} is {total}")
assert total == 3
