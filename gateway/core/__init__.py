"""What the gateway believes and decides; pure: no await, no clock, no logger."""
