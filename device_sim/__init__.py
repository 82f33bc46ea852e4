"""Simulated devices that speak the real wire: for demos, tests, load and conformance."""
