"""Fashion catalog regeneration: the library. PyTorch, no Ray, no HTTP."""
