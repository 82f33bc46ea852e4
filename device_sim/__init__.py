"""A fleet of simulated devices that tells the truth about what it sent."""
