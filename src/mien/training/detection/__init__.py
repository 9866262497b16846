"""Training of mien's own face detector: training scenes, network, losses, export."""
