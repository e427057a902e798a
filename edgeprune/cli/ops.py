"""`edgeprune ops`: the operators that edgeprune can take from a model to a device."""
