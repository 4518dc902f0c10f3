"""A drawn world of small pictures and a tiny CLIP that knows it: a pool to try recipes on, without a network."""
