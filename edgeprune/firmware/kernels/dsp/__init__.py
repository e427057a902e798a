"""Kernels for cores with the DSP extension: Cortex-M4, M7 and M33, and M55 without its vectors."""
