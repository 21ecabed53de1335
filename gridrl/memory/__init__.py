"""Where transitions wait between the world and the loss."""
