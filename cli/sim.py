"""The verb `sim`: a simulated fleet against any broker."""

from device_sim.main import register as register
