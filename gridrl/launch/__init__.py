"""Starting experiments: grids, run directories, the processes of runs. Needs no torch."""
