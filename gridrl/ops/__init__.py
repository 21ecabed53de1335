"""The mathematics as pure functions: returns in numpy, losses in torch, each with its equation and paper."""
