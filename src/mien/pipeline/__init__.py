"""The stages from a photo to its estimates: images, detect, align, model, intervals."""
