"""Fixed held-out rows, drawn by the stages of inference with the averaged weights while a run goes."""
