"""From the bytes of a picture file to upright RGB: one module for each question that a file raises."""
