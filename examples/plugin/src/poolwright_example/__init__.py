"""A step, a pool, a release layout and an encoder for poolwright."""
