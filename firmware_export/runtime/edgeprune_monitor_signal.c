/* See edgeprune_monitor.h: rails and flat blocks of an int8 signal. */
#include "edgeprune_monitor.h"

/* Flat blocks of one channel. */
static int32_t count_flats(const edgeprune_monitor_limits *limits, const int8_t *channel,
                           int32_t stride) {
    int32_t flats = 0, blocks = limits->count / limits->block, block, index;
    for (block = 0; block < blocks; block++) {
        const int8_t *next = channel + block * limits->block * stride;
        int32_t low = *next, high = low;
        for (index = 1; index < limits->block && high - low <= limits->flat_range; index++) {
            int32_t value = next[index * stride];
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        if (high - low <= limits->flat_range) {
            flats++;
        }
    }
    return flats;
}

uint32_t edgeprune_monitor_signal(const edgeprune_monitor_limits *limits, const int8_t *signal,
                                  int32_t channels) {
    int32_t rails = 0, channel, index;
    uint32_t reasons = 0;
    for (index = 0; index < limits->count * channels; index++) {
        if (signal[index] <= limits->low || signal[index] >= limits->high) {
            rails++;
        }
    }
    if (rails >= limits->rail_samples) {
        reasons |= EDGEPRUNE_MONITOR_SATURATED;
    }
    for (channel = 0; channel < channels; channel++) {
        if (count_flats(limits, signal + channel, channels) >= limits->flat_blocks) {
            reasons |= EDGEPRUNE_MONITOR_FLAT;
        }
    }
    return reasons;
}
