/* Windows of fixed length over some channels; see edgeprune_segments.h.
 * A right shift of a negative number is taken to be arithmetic, as in every Arm and x86 compiler.
 */
#include "edgeprune_segments.h"

static int8_t clamp8(int32_t value) {
    if (value > 127) {
        return 127;
    }
    return (int8_t)(value < -127 ? -127 : value);
}

void edgeprune_segments_reset(const edgeprune_segments_config *config,
                              edgeprune_segments_state *state) {
    int32_t channel;
    state->taken = 0;
    state->position = 0;
    state->summed = 0;
    state->newest = 0;
    state->missing = config->length;
    state->ready = 0;
    for (channel = 0; channel < config->channels; channel++) {
        state->sums[channel] = 0;
    }
}

/* Scales the sums into the ring and begins new ones. */
static void close_sums(const edgeprune_segments_config *config, edgeprune_segments_state *state) {
    int8_t *place = state->ring + state->newest * config->channels;
    int32_t half = (1 << config->shift) >> 1, channel;
    for (channel = 0; channel < config->channels; channel++) {
        place[channel] = clamp8((state->sums[channel] * config->gain + half) >> config->shift);
        state->sums[channel] = 0;
    }
    state->summed = 0;
    state->newest++;
    if (state->newest == config->length) {
        state->newest = 0;
    }
    state->missing--;
    if (state->missing == 0) {
        state->missing = config->step / config->factor;
        state->ready = 1;
    }
}

int32_t edgeprune_segments_samples(const edgeprune_segments_config *config,
                                   edgeprune_segments_state *state, const int16_t *samples,
                                   int32_t count) {
    int32_t taken = 0, channel;
    while (taken < count && state->ready == 0) {
        for (channel = 0; channel < config->channels; channel++) {
            state->sums[channel] += samples[channel];
        }
        samples += config->channels;
        taken++;
        state->taken++;
        state->summed++;
        if (state->summed == config->factor) {
            close_sums(config, state);
        }
    }
    return taken;
}

int edgeprune_segments_window(const edgeprune_segments_config *config,
                              edgeprune_segments_state *state, int8_t *signal) {
    int32_t bytes = config->length * config->channels;
    int32_t from = state->newest * config->channels, index;
    if (state->ready == 0) {
        return 0;
    }
    for (index = 0; index < bytes; index++) {
        signal[index] = state->ring[from];
        from++;
        if (from == bytes) {
            from = 0;
        }
    }
    state->position = state->taken - (uint32_t)(config->length * config->factor);
    state->ready = 0;
    return 1;
}
