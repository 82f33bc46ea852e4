"""Orders end to end, who may place them, and what devices, people and programs may do, on real servers."""
