"""Train encoders on the images of a pool; an interrupted training continues with bit-identical results."""
