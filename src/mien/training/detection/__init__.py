"""Training of mien's own face detector: scenes, net, losses, export."""
