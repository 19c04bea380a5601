"""How much an owner's keys may ask for, counted where every ingress sees the same."""
