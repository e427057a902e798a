/* See edgeprune_monitor.h; the specification is edgeprune/monitor/input_monitor.py.
 *
 * Sums stay below 2**27 and a score below 2**32: edgeprune refuses longer windows when it fits.
 */
#include "edgeprune_monitor.h"

#define SUM_FLOOR 8u
#define MOST_DEVIATION 255u
#define TERM_SHIFT 6

/* log2 of 1 <= value < 2**27 in 1/32 octave, linear within the octave. */
static int32_t log_sum(uint32_t value) {
#if defined(__GNUC__) && !defined(__ARM_ARCH_6M__)
    uint32_t exponent = 31u - (uint32_t)__builtin_clz(value);
#else
    uint32_t exponent = 0, step;
    for (step = 16; step != 0u; step >>= 1) {
        if ((value >> (exponent + step)) != 0u) {
            exponent += step;
        }
    }
#endif
    return (int32_t)(32u * exponent + ((value << 5) >> exponent)) - 32;
}

static uint32_t magnitude(int32_t value) { return (uint32_t)(value < 0 ? -value : value); }

/* Sum of absolute second differences of `count` samples; `before` and `after` lie beside them. */
static uint32_t roughness(const int8_t *sample, int32_t stride, int32_t count, int32_t before,
                          int32_t after) {
    uint32_t sum = 0;
    int32_t value = *sample, slope = value - before, left;
    /* Two at a time, so that nothing has to be moved between registers. */
    for (left = count - 1; left > 1; left -= 2) {
        int32_t next = sample[stride], other = next - value;
        sample += 2 * stride;
        value = *sample;
        sum += magnitude(other - slope);
        slope = value - next;
        sum += magnitude(slope - other);
    }
    if (left == 1) {
        int32_t next = sample[stride], other = next - value;
        sum += magnitude(other - slope);
        slope = other;
        value = next;
    }
    return sum + magnitude((after - value) - slope);
}

/* How unusual the signal is for a window that is decided for the class of these tables. */
static uint32_t score(const edgeprune_monitor_config *config, const int8_t *signal,
                      const int16_t *centres, const uint16_t *weights) {
    int32_t stride = config->channels, last = config->zones[config->zone_count] - 1, zone, channel;
    uint32_t total = 0;
    for (zone = 0; zone < config->zone_count; zone++) {
        int32_t first = config->zones[zone], end = config->zones[zone + 1];
        uint32_t sum = SUM_FLOOR, deviation;
        for (channel = 0; channel < config->read; channel++) {
            const int8_t *samples = signal + channel;
            /* At its ends the signal is held. */
            int32_t before = samples[(first > 0 ? first - 1 : 0) * stride];
            int32_t after = samples[(end <= last ? end : last) * stride];
            sum += roughness(samples + first * stride, stride, end - first, before, after);
        }
        deviation = magnitude(log_sum(sum) - centres[zone]);
        if (deviation > MOST_DEVIATION) {
            deviation = MOST_DEVIATION;
        }
        total += (deviation * deviation * weights[zone]) >> TERM_SHIFT;
    }
    return total;
}

uint32_t edgeprune_monitor_window(const edgeprune_monitor_config *config, const int8_t *signal,
                                  const int8_t *logits) {
    int32_t best = 0, second = 1, index, row;
    uint32_t reasons = 0;
    if (logits[1] > logits[0]) {
        best = 1;
        second = 0;
    }
    for (index = 2; index < config->classes; index++) {
        if (logits[index] > logits[best]) {
            second = best;
            best = index;
        } else if (logits[index] > logits[second]) {
            second = index;
        } else {
            /* neither of the two largest */
        }
    }
    row = best * config->zone_count;
    if (score(config, signal, config->centres + row, config->weights + row) > config->unusual) {
        reasons |= EDGEPRUNE_MONITOR_UNUSUAL;
    }
    if (logits[best] - logits[second] < config->margin) {
        reasons |= EDGEPRUNE_MONITOR_LOW_MARGIN;
    }
    return reasons;
}
