"""Settings for all experiments started from here; a copy in your own working directory comes first."""

# Where results land when no data_dir is given; a relative path counts from the directory that you start from.
DEFAULT_DATA_DIR = "data"

# Whether every run's directory name gets the date and time, as with --datestamp.
FORCE_DATESTAMP = False

# Whether parameters without a shorthand get one in names: three letters of each part of the key.
DEFAULT_SHORTHAND = True

# Seconds to look at the list of experiments before the first one starts.
WAIT_BEFORE_LAUNCH = 0

# The program that starts MPI ranks; None is the one that was installed beside this Python.
MPIEXEC = None
