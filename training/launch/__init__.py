"""The same run in this process, under torchrun, or on a Ray cluster: each makes a world and calls `train`."""
