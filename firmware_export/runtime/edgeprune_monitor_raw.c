/* See edgeprune_monitor.h: rails and flat blocks of raw samples in a ring. */
#include "edgeprune_monitor.h"

uint32_t edgeprune_monitor_raw(const edgeprune_monitor_limits *limits, const int16_t *ring,
                               uint32_t mask, uint32_t first) {
    /* Between the rails, a sample less the first of these values is less than the second one. */
    uint32_t least = (uint32_t)limits->low + 1u, span = (uint32_t)limits->high - least;
    int32_t rails = 0, flats = 0, blocks = limits->count / limits->block, index, block;
    uint32_t reasons = 0, next = first, last = first + (uint32_t)limits->count;
    while (next != last) {
        if ((uint32_t)(int32_t)ring[next & mask] - least >= span) {
            rails++;
        }
        next++;
    }
    for (block = 0; block < blocks; block++) {
        int32_t low, high;
        next = first + (uint32_t)(block * limits->block);
        low = ring[next & mask];
        high = low;
        /* Most blocks are soon seen not to be flat. */
        for (index = 1; index < limits->block && high - low <= limits->flat_range; index++) {
            int32_t value = ring[(next + (uint32_t)index) & mask];
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        if (high - low <= limits->flat_range) {
            flats++;
        }
    }
    if (rails >= limits->rail_samples) {
        reasons |= EDGEPRUNE_MONITOR_SATURATED;
    }
    if (flats >= limits->flat_blocks) {
        reasons |= EDGEPRUNE_MONITOR_FLAT;
    }
    return reasons;
}
