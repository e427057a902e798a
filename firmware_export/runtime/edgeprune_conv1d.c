/* 1-D convolution: blocks of four positions and two output channels.
 *
 * The windows of four positions are first laid out in the scratch memory ("columns") as 16-bit
 * numbers without their zero point, so that padding is zero and the inner loop knows nothing of
 * strides, dilation, padding or groups.
 */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

#define POSITIONS 4

#if EDGEPRUNE_DSP
/* Columns: a word holds two depths of one position, four words the four positions. */
#define COLUMN(columns, position, depth) \
    ((columns)[((depth) >> 1) * (2 * POSITIONS) + (position)*2 + ((depth)&1)])
#else
/* Columns: [depth][position]. */
#define COLUMN(columns, position, depth) ((columns)[(depth)*POSITIONS + (position)])
#endif

static void fill_zero(edgeprune_scratch16 *columns, int32_t position, int32_t depth, int32_t count) {
    int32_t end = depth + count;
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = 0;
    }
}

static void fill(edgeprune_scratch16 *columns, int32_t position, int32_t depth, const int8_t *from,
                 int32_t count, int32_t zero_point) {
    int32_t end = depth + count;
#if EDGEPRUNE_DSP
    if ((depth & 1) == 0) {
        uint32_t offset = edgeprune_twice16(-zero_point);
        edgeprune_scratch32 *words = (edgeprune_scratch32 *)(void *)&COLUMN(columns, position, depth);
        for (; depth <= end - 4; depth += 4) {
            uint32_t bytes = edgeprune_load32(from);
            uint32_t even = edgeprune_add_even(offset, bytes);
            uint32_t odd = edgeprune_add_odd(offset, bytes);
            words[0] = (even & 0xFFFFu) | (odd << 16);
            words[POSITIONS] = (even >> 16) | (odd & 0xFFFF0000u);
            words += 2 * POSITIONS;
            from += 4;
        }
    }
#endif
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = (int16_t)(*from++ - zero_point);
    }
}

/* Lays out the window of one output position; padding is zero. */
static void fill_window(const edgeprune_conv1d_parameters *p, const int8_t *input, int32_t channels,
                        int32_t start, edgeprune_scratch16 *columns, int32_t position) {
    int32_t tap = 0;
    while (tap < p->kernel) {
        int32_t row = start + tap * p->dilation;
        int32_t taps = 1;
        if (row < 0 || row >= p->input_length) {
            fill_zero(columns, position, tap * channels, channels);
        } else {
            if (p->dilation == 1 && p->groups == 1) { /* the rest of the window lies in one piece */
                taps = p->kernel - tap;
                if (taps > p->input_length - row) {
                    taps = p->input_length - row;
                }
            }
            fill(columns, position, tap * channels, input + row * p->input_channels, taps * channels,
                 p->input_zero_point);
        }
        tap += taps;
    }
}

/* sums[position * 2 + channel of the pair] += columns * weights */
static inline void accumulate(const edgeprune_scratch16 *columns, const int8_t *weights,
                              int32_t depth_pairs, int32_t *sums) {
    int32_t s00 = sums[0], s01 = sums[1], s10 = sums[2], s11 = sums[3];
    int32_t s20 = sums[4], s21 = sums[5], s30 = sums[6], s31 = sums[7];
#if EDGEPRUNE_DSP
    const edgeprune_scratch32 *words = (const edgeprune_scratch32 *)(const void *)columns;
    const int8_t *end = weights + 4 * depth_pairs;
    do {
        uint32_t both = edgeprune_load32(weights);
        uint32_t first = edgeprune_even(both);
        uint32_t second = edgeprune_odd(both);
        uint32_t value = words[0];
        s00 = edgeprune_smlad(value, first, s00);
        s01 = edgeprune_smlad(value, second, s01);
        value = words[1];
        s10 = edgeprune_smlad(value, first, s10);
        s11 = edgeprune_smlad(value, second, s11);
        value = words[2];
        s20 = edgeprune_smlad(value, first, s20);
        s21 = edgeprune_smlad(value, second, s21);
        value = words[3];
        s30 = edgeprune_smlad(value, first, s30);
        s31 = edgeprune_smlad(value, second, s31);
        words += POSITIONS;
        weights += 4;
    } while (weights != end);
#else
    const int8_t *end = weights + 4 * depth_pairs;
    do {
        int32_t first = weights[0], second = weights[1];
        int32_t value = columns[0];
        s00 += value * first;
        s01 += value * second;
        value = columns[1];
        s10 += value * first;
        s11 += value * second;
        value = columns[2];
        s20 += value * first;
        s21 += value * second;
        value = columns[3];
        s30 += value * first;
        s31 += value * second;
        columns += POSITIONS;
        weights += 2;
    } while (weights != end);
#endif
    sums[0] = s00, sums[1] = s01, sums[2] = s10, sums[3] = s11;
    sums[4] = s20, sums[5] = s21, sums[6] = s30, sums[7] = s31;
}

/* Brings the sums of one channel (every second of `sums`) to int8 and stores them. */
static inline void store(const edgeprune_conv1d_parameters *p, int32_t channel, const int32_t *sums,
                         int32_t positions, int8_t *output) {
    edgeprune_scaling scaling = edgeprune_scale(p->multiplier[channel], p->shift[channel]);
    int32_t position, value;
    for (position = 0; position < positions; position++) {
        if (p->quick) {
            value = edgeprune_rescale_quick(sums[position * 2], &scaling);
        } else {
            value = edgeprune_rescale(sums[position * 2], &scaling);
        }
        *output = edgeprune_clamp(value + p->output_zero_point, p->clamp_low, p->clamp_high);
        output += p->output_channels;
    }
}

void edgeprune_conv1d(const edgeprune_conv1d_parameters *p, const int8_t *input, int8_t *output,
                      int32_t *scratch) {
    edgeprune_scratch16 *columns = (edgeprune_scratch16 *)(void *)scratch;
    int32_t group_inputs = p->input_channels / p->groups;
    int32_t group_outputs = p->output_channels / p->groups;
    int32_t depth = p->kernel * group_inputs;
    int32_t depth_pairs = (depth + 1) / 2;
    int32_t block, group, position, channel;
    for (block = 0; block < p->output_length; block += POSITIONS) {
        const int8_t *weights = p->weights;
        int32_t positions = p->output_length - block;
        if (positions > POSITIONS) {
            positions = POSITIONS;
        }
        for (group = 0; group < p->groups; group++) {
            int32_t first = group * group_outputs;
            for (position = 0; position < POSITIONS; position++) {
                if (position < positions) {
                    fill_window(p, input + group * group_inputs, group_inputs,
                                (block + position) * p->stride - p->pad_left, columns, position);
                    fill_zero(columns, position, depth, depth & 1);
                } else {
                    fill_zero(columns, position, 0, 2 * depth_pairs);
                }
            }
            for (channel = first; channel < first + group_outputs; channel += 2) {
                int32_t sums[2 * POSITIONS];
                int32_t second = channel + 1 < first + group_outputs ? channel + 1 : channel;
                for (position = 0; position < POSITIONS; position++) {
                    sums[position * 2] = p->bias[channel];
                    sums[position * 2 + 1] = p->bias[second];
                }
                accumulate(columns, weights, depth_pairs, sums);
                weights += 4 * depth_pairs;
                store(p, channel, sums, positions, output + channel);
                if (second != channel) {
                    store(p, second, sums + 1, positions, output + second);
                }
            }
        }
        output += positions * p->output_channels;
    }
}
