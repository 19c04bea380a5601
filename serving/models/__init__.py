"""What runs in a model's replica; it knows pictures and seconds, no HTTP and no Ray."""
