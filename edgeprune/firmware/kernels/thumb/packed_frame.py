"""The words on the stack of a packed convolution, as offsets from sp."""

FRAME = 116
SAVED = 36
SPLIT = 40
"""What sums apart take more: see PARTS and NEXT."""
PARTS, NEXT = FRAME, FRAME + 32
CARRY, SUMS, PLANE, WEIGHTS, END, RECORD, OUT = 32, 40, 48, 52, 56, 60, 64
BLOCKS, CHUNK, LEFT, POSITION, ROW, INPUT, LAST, PLANES, SOURCE, KEPT = range(68, 108, 4)
