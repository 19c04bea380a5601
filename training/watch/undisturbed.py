"""Work beside training that leaves no trace in it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def undisturbed() -> Iterator[None]:
    """Gives back every global random state of this worker and the gradient mode as they were, whatever is drawn inside.

    Steps seed what they draw by their own number, so a stray draw would already be harmless there; this keeps it so
    for what draws from the global generators without saying so.
    """
    state, numpy_state = random.getstate(), np.random.get_state()
    graded = torch.is_grad_enabled()
    # This worker's accelerator alone: to ask another's would open a context on it, half a gigabyte beside its worker.
    accelerators = [torch.cuda.current_device()] if torch.cuda.is_initialized() else []
    try:
        with torch.random.fork_rng(devices=accelerators):
            yield
    finally:
        random.setstate(state)
        np.random.set_state(numpy_state)
        torch.set_grad_enabled(graded)
