"""Pictures drawn from joints: the agnostic person, the agnostic parse and the skeleton. Pure numpy and Pillow."""
