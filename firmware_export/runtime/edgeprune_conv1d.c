/* 1-D convolution: blocks of four positions and two output channels.
 *
 * The windows of four positions are first laid out in the scratch memory ("columns") as 16-bit
 * numbers without their zero point, so that padding is zero and the inner loop knows nothing of
 * strides, dilation, padding or groups.
 */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

#define POSITIONS 4

/* Columns: [depth][position]. */
#define COLUMN(columns, position, depth) ((columns)[(depth)*POSITIONS + (position)])

static void fill_zero(edgeprune_scratch16 *columns, int32_t position, int32_t depth, int32_t count) {
    int32_t end = depth + count;
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = 0;
    }
}

static void fill(edgeprune_scratch16 *columns, int32_t position, int32_t depth, const int8_t *from,
                 int32_t count, int32_t zero_point) {
    int32_t end = depth + count;
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


/* sums[channel of the pair][position] = bias + columns * weights. The loop needs every register
 * there is, so it is a function of its own. */
EDGEPRUNE_NOINLINE static void accumulate(const edgeprune_scratch16 *columns, const int8_t *weights,
                                          int32_t depth_pairs, int32_t first_bias,
                                          int32_t second_bias, int32_t *sums) {
    int32_t s00 = first_bias, s10 = first_bias, s20 = first_bias, s30 = first_bias;
    int32_t s01 = second_bias, s11 = second_bias, s21 = second_bias, s31 = second_bias;
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
    sums[0] = s00;
    sums[1] = s10;
    sums[2] = s20;
    sums[3] = s30;
    sums[4] = s01;
    sums[5] = s11;
    sums[6] = s21;
    sums[7] = s31;
}

/* Brings the sums of one channel to int8 and stores them. */
EDGEPRUNE_NOINLINE static void store_sums(const edgeprune_conv1d_parameters *p, int32_t channel,
                                          const int32_t *sums, int32_t positions, int8_t *output) {
    int32_t step = p->output_channels, low = p->clamp_low, high = p->clamp_high;
    int32_t multiplier = p->multiplier[channel], shift = p->shift[channel];
    if (p->quick != 0) {
        edgeprune_quick_scaling scaling = edgeprune_scale_quick(multiplier, shift, p->output_zero_point);
        if (low == INT8_MIN && high == INT8_MAX && positions == POSITIONS) {
            output[0] = edgeprune_saturate(edgeprune_rescale_quick(sums[0], &scaling));
            output += step;
            output[0] = edgeprune_saturate(edgeprune_rescale_quick(sums[1], &scaling));
            output += step;
            output[0] = edgeprune_saturate(edgeprune_rescale_quick(sums[2], &scaling));
            output += step;
            output[0] = edgeprune_saturate(edgeprune_rescale_quick(sums[3], &scaling));
            return;
        }
        for (; positions > 0; positions--) {
            *output = edgeprune_clamp(edgeprune_rescale_quick(*sums++, &scaling), low, high);
            output += step;
        }
    } else {
        edgeprune_scaling scaling = edgeprune_scale(multiplier, shift);
        for (; positions > 0; positions--) {
            int32_t value = edgeprune_rescale(*sums++, &scaling) + p->output_zero_point;
            *output = edgeprune_clamp(value, low, high);
            output += step;
        }
    }
}

void edgeprune_conv1d(const edgeprune_conv1d_parameters *p, const int8_t *input, int8_t *output,
                      int32_t *scratch, int32_t first_row, int32_t rows) {
    edgeprune_scratch16 *columns = (edgeprune_scratch16 *)(void *)scratch;
    int32_t group_inputs = p->input_channels / p->groups;
    int32_t group_outputs = p->output_channels / p->groups;
    int32_t depth = p->kernel * group_inputs;
    int32_t depth_pairs = (depth + 1) / 2;
    int32_t end = first_row + rows;
    int32_t block, group, position, channel;
    output += first_row * p->output_channels;
    for (block = first_row; block < end; block += POSITIONS) {
        const int8_t *weights = p->weights;
        int32_t positions = end - block;
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
                accumulate(columns, weights, depth_pairs, p->bias[channel], p->bias[second], sums);
                weights += 4 * depth_pairs;
                store_sums(p, channel, sums, positions, output + channel);
                if (second != channel) {
                    store_sums(p, second, sums + POSITIONS, positions, output + second);
                }
            }
        }
        output += positions * p->output_channels;
    }
}
