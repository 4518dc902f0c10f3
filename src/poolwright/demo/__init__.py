"""The demo: a drawn world of small pictures and a tiny CLIP trained on it, to try recipes without a network."""
