"""What one step of training is, per network: batch in, losses out. Nothing here knows who runs it."""
