"""Pure torch: networks, their configs, losses and the conversion of published checkpoints. Tensors in, tensors out."""
