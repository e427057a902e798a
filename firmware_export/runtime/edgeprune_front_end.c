/* See edgeprune_front_end.h; the specification is edgeprune/data/front_end.py.
 *
 * A right shift of a negative number is taken to be arithmetic, as in every Arm and x86 compiler.
 * Sums of the conditioning stay below 2**31 for any int16 samples while factor <= 7.
 */
#include "edgeprune_front_end.h"

#define LENGTH EDGEPRUNE_FRONT_END_LENGTH
#define HISTORY EDGEPRUNE_FRONT_END_HISTORY
#define RING_MASK ((uint32_t)EDGEPRUNE_FRONT_END_RING - 1u)
#define BEFORE 48
#define BOXCAR 64
#define SUMS (LENGTH + 2 * (BOXCAR - 1))
#define QRS_START 36
#define QRS_END 62
#define P_START 14
#define P_END 38
#define PEAK_GAIN (64 << 14)
#define SETTLING 4
#define FORGOTTEN (1u << 30) /* samples without a beat, a month at 360 Hz */

typedef char edgeprune_ring_is_a_power_of_two
    [(EDGEPRUNE_FRONT_END_RING & (EDGEPRUNE_FRONT_END_RING - 1)) == 0 ? 1 : -1];

/* Samples after a beat's own that its window needs, itself included. */
static uint32_t window_end(const edgeprune_front_end_config *config) {
    return (uint32_t)(config->factor * (LENGTH - BEFORE + BOXCAR - 1));
}

static int32_t clamp(int32_t value, int32_t low, int32_t high) {
    if (value < low) {
        return low;
    }
    return value > high ? high : value;
}

static int16_t clamp16(int32_t value) { return (int16_t)clamp(value, INT16_MIN, INT16_MAX); }

static int8_t clamp8(int32_t value) { return (int8_t)clamp(value, -127, 127); }

/* log2 of 1 <= value < 2**27 in 1/32 octave, linear within the octave. */
static int32_t logarithm(uint32_t value) {
    int32_t exponent = 0;
    while (value >> exponent > 1u) {
        exponent++;
    }
    return 32 * exponent + (int32_t)((value << 5) >> exponent) - 32;
}

/* (sum of squares) / 256 + 1; the low bytes are summed apart so that all stays in 32 bits. */
static int32_t log_energy(const int16_t *values, int32_t start, int32_t end) {
    uint32_t high = 0, low = 0;
    int32_t index;
    for (index = start; index < end; index++) {
        uint32_t square = (uint32_t)((int32_t)values[index] * values[index]);
        high += square >> 8;
        low += square & 255u;
    }
    return logarithm(high + (low >> 8) + 1u);
}

void edgeprune_front_end_reset(edgeprune_front_end_state *state) {
    state->taken = 0;
    state->position = 0;
    state->last = 0;
    state->waiting = 0;
    state->queued = 0;
    state->before = 0;
    state->weight = 0;
    state->history = 0;
    state->newest = HISTORY - 1;
    state->any_beat = 0;
    state->has_waiting = 0;
    state->has_template = 0;
    state->any_sample = 0;
}

static int is_complete(const edgeprune_front_end_config *config,
                       const edgeprune_front_end_state *state) {
    return state->queued > 0 &&
           (int32_t)(state->taken - (state->queue[0] + window_end(config))) >= 0;
}

int32_t edgeprune_front_end_samples(const edgeprune_front_end_config *config,
                                    edgeprune_front_end_state *state, const int16_t *samples,
                                    int32_t count) {
    int32_t index;
    if (count > 0 && state->any_sample == 0) {
        /* Before the recording its first sample is held. */
        for (index = 0; index < EDGEPRUNE_FRONT_END_RING; index++) {
            state->ring[index] = samples[0];
        }
        state->any_sample = 1;
    }
    for (index = 0; index < count && !is_complete(config, state); index++) {
        state->ring[state->taken & RING_MASK] = samples[index];
        state->taken++;
        if (state->taken - state->last == FORGOTTEN) {
            state->any_beat = 0; /* before positions wrap around, it would seem to lie ahead */
        }
    }
    return index;
}

int edgeprune_front_end_beat(const edgeprune_front_end_config *config,
                             edgeprune_front_end_state *state, uint32_t position) {
    if (state->queued == EDGEPRUNE_FRONT_END_QUEUE ||
        (int32_t)(position + window_end(config) - state->taken) < 0 ||
        (state->any_beat != 0 && (int32_t)(position - state->last) <= 0)) {
        return 0;
    }
    state->queue[state->queued] = position;
    state->queued++;
    state->last = position;
    state->any_beat = 1;
    return 1;
}

/* Conditions the window of one beat: decimating sums minus their triangular mean. */
static void condition(const edgeprune_front_end_config *config, edgeprune_front_end_state *state,
                      uint32_t position) {
    int32_t sums[SUMS];
    int32_t factor = config->factor, leading = 0, trailing, total = 0, half = 0, index, sample;
    uint32_t next = position - (uint32_t)(factor * (BEFORE + BOXCAR));
    for (sample = 0; sample < factor; sample++) {
        half += state->ring[next++ & RING_MASK];
    }
    for (index = 0; index < SUMS; index++) {
        int32_t other = 0;
        for (sample = 0; sample < factor; sample++) {
            other += state->ring[next++ & RING_MASK];
        }
        sums[index] = half + other;
        half = other;
    }
    /* Two running boxcars: `leading` and `trailing` are the first one at the two ends of the
     * second one, `total`. */
    for (index = 0; index < BOXCAR; index++) {
        leading += sums[index];
    }
    trailing = leading;
    total = leading;
    for (index = 0; index < BOXCAR - 1; index++) {
        leading += sums[index + BOXCAR] - sums[index];
        total += leading;
    }
    for (index = 0; index < LENGTH; index++) {
        int32_t value = sums[index + BOXCAR - 1] + ((BOXCAR * BOXCAR / 2 - total) >> 12);
        state->beat[index] = clamp16(value);
        if (index < LENGTH - 1) {
            leading += sums[index + 2 * BOXCAR - 1] - sums[index + BOXCAR - 1];
            total += leading - trailing;
            trailing += sums[index + BOXCAR] - sums[index];
        }
    }
}

/* The `eighths`/8 quantile of the newest `window` values (or of as many as there are). */
static uint32_t quantile(const edgeprune_front_end_state *state, const uint16_t *values,
                         int32_t window, int32_t eighths) {
    uint16_t ordered[HISTORY];
    int32_t count = state->history < window ? state->history : window;
    int32_t index;
    ordered[0] = values[state->newest]; /* there is at least one */
    for (index = 1; index < count; index++) {
        uint16_t value = values[(state->newest + HISTORY - index) % HISTORY];
        int32_t place = index;
        while (place > 0 && ordered[place - 1] > value) {
            ordered[place] = ordered[place - 1];
            place--;
        }
        ordered[place] = value;
    }
    return ordered[((count - 1) * eighths) >> 3];
}

static int32_t log_mean_change(const edgeprune_front_end_state *state, int32_t window) {
    int32_t count = state->history < window ? state->history : window;
    uint32_t total = 0;
    int32_t index;
    for (index = 0; index < count; index++) {
        total += state->changes[(state->newest + HISTORY - index) % HISTORY];
    }
    return logarithm(16u * total / (uint32_t)count + 16u);
}

static int32_t log_change(const edgeprune_front_end_state *state, int32_t window,
                          int32_t eighths) {
    return logarithm(16u * quantile(state, state->changes, window, eighths) + 16u);
}

static void remember(edgeprune_front_end_state *state, int32_t before) {
    int32_t previous = state->history > 0 ? state->intervals[state->newest] : before;
    int32_t change = before > previous ? before - previous : previous - before;
    state->newest = (state->newest + 1) % HISTORY;
    state->intervals[state->newest] = (uint16_t)before;
    state->changes[state->newest] = (uint16_t)change;
    if (state->history < HISTORY) {
        state->history++;
    }
}

/* The features of the RR intervals; returns the running median. */
static int32_t rhythm_features(const edgeprune_front_end_config *config,
                               const edgeprune_front_end_state *state, int32_t after,
                               int8_t *rhythm) {
    uint32_t median = quantile(state, state->intervals, 32, 4);
    int32_t log_upper = logarithm(quantile(state, state->intervals, HISTORY, 7));
    int32_t log_median = logarithm(median);
    int32_t log_after = logarithm((uint32_t)after);
    int32_t log_before = logarithm(state->intervals[state->newest]);
    int32_t lag;
    for (lag = 0; lag < 5; lag++) {
        int32_t back = lag < state->history ? lag : state->history - 1;
        uint32_t interval = state->intervals[(state->newest + HISTORY - back) % HISTORY];
        rhythm[4 - lag] = clamp8(logarithm(interval) - log_upper);
    }
    rhythm[5] = clamp8(log_after - log_upper);
    rhythm[6] = clamp8(log_before - log_median);
    rhythm[7] = clamp8(log_after - log_median);
    rhythm[8] = clamp8(log_change(state, 32, 2) - log_upper);
    rhythm[9] = clamp8(log_change(state, 32, 4) - log_upper);
    rhythm[10] = clamp8(log_change(state, 16, 3) - log_upper);
    rhythm[11] = clamp8(log_change(state, 64, 2) - log_upper);
    rhythm[12] = clamp8(log_mean_change(state, 32) - log_upper);
    rhythm[13] = clamp8(log_mean_change(state, 64) - log_upper);
    rhythm[14] = clamp8(log_upper - logarithm((uint32_t)config->rr_reference));
    return (int32_t)median;
}

/* Both channels of the window, scaled by the template's peak. */
static void scale(const edgeprune_front_end_config *config, const edgeprune_front_end_state *state,
                  const int16_t *difference, int8_t *signal) {
    int32_t amplitude = config->amplitude_least, gain, index;
    for (index = QRS_START; index < QRS_END; index++) {
        int32_t value = state->expected[index];
        amplitude = value > amplitude ? value : amplitude;
        amplitude = -value > amplitude ? -value : amplitude;
    }
    gain = PEAK_GAIN / amplitude;
    for (index = 0; index < LENGTH; index++) {
        signal[2 * index] = clamp8((state->beat[index] * gain + (1 << 13)) >> 14);
        signal[2 * index + 1] = clamp8((difference[index] * gain + (1 << 13)) >> 14);
    }
}

static void update_template(edgeprune_front_end_state *state, const int16_t *difference) {
    int32_t index;
    if (state->weight < SETTLING) {
        state->weight++;
    }
    for (index = 0; index < LENGTH; index++) {
        int32_t step = (difference[index] + (1 << (state->weight - 1))) >> state->weight;
        state->expected[index] = (int16_t)(state->expected[index] + step);
    }
}

/* The inputs of the waiting beat, now that the interval after it is known. */
static void emit(const edgeprune_front_end_config *config, edgeprune_front_end_state *state,
                 int32_t after, int8_t *signal, int8_t *rhythm) {
    int16_t difference[LENGTH];
    int32_t before = state->before != 0 ? state->before : after;
    int32_t index, median, expected;
    for (index = 0; index < LENGTH; index++) {
        if (state->has_template == 0) {
            state->expected[index] = state->beat[index];
        }
        difference[index] = clamp16(state->beat[index] - state->expected[index]);
    }
    state->has_template = 1;
    remember(state, before);
    median = rhythm_features(config, state, after, rhythm);
    scale(config, state, difference, signal);
    expected = log_energy(state->expected, QRS_START, QRS_END);
    rhythm[15] = clamp8((log_energy(difference, QRS_START, QRS_END) - expected) >> 1);
    rhythm[16] = clamp8(((log_energy(difference, P_START, P_END) - expected) >> 1) + 64);
    rhythm[17] = clamp8(log_energy(state->beat, QRS_START, QRS_END) - expected);
    if (8 * before >= 7 * median && 8 * after >= 7 * median && 4 * before <= 5 * median) {
        update_template(state, difference);
    }
    state->before = after;
    state->position = state->waiting;
    state->has_waiting = 0;
}

int edgeprune_front_end_window(const edgeprune_front_end_config *config,
                               edgeprune_front_end_state *state, int8_t *signal, int8_t *rhythm) {
    if (state->has_waiting == 0 && is_complete(config, state)) {
        int32_t index;
        condition(config, state, state->queue[0]);
        state->waiting = state->queue[0];
        state->has_waiting = 1;
        state->queued--;
        for (index = 0; index < state->queued; index++) {
            state->queue[index] = state->queue[index + 1];
        }
    }
    if (state->has_waiting != 0) {
        uint32_t most = (uint32_t)config->rr_most;
        if (state->queued > 0) {
            uint32_t gap = state->queue[0] - state->waiting;
            int32_t after = gap > most ? config->rr_most : (int32_t)gap;
            emit(config, state, after < config->rr_least ? config->rr_least : after, signal, rhythm);
            return 1;
        }
        if (state->taken - state->waiting > most + window_end(config)) {
            emit(config, state, config->rr_most, signal, rhythm);
            return 1;
        }
    }
    return 0;
}
