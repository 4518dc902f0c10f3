"""Training of encoders on the images of a pool, resumable to the bit."""
