"""From a checkpoint to the detector's file: graph, metadata, comparison."""
