"""The way from a photo to its estimates, stage by stage: images, detect, align, model, intervals."""
