"""The words on the stack of a packed convolution, as offsets from sp."""

FRAME = 116
STACK = FRAME + 36
CARRY, SUMS, PLANE, WEIGHTS, END, RECORD, OUT = 32, 40, 48, 52, 56, 60, 64
BLOCKS, CHUNK, LEFT, POSITION, ROW, INPUT, LAST, PLANES, SOURCE, KEPT = range(68, 108, 4)
