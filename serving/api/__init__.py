"""The service's HTTP, as one ASGI application over models, keys and jobs; it knows no Ray."""
