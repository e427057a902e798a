"""Deploy medical signal classifiers to small devices, with proof of what runs there."""

__version__ = "0.1.0"
