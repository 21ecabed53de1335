"""What finished and running experiments left behind: read, averaged over seeds, drawn."""
