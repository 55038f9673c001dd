"""The simulated host in process: the ports over the model, on virtual time, with seeded faults."""

from eventd_simulators.inprocess.host import SimHost, World
from eventd_simulators.inprocess.life import Life, SimulatedCrash

__all__ = ["Life", "SimHost", "SimulatedCrash", "World"]
