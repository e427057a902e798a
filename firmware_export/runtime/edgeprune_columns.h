/* What 1-D and 2-D convolutions share: blocks of four positions and two output channels.
 *
 * The windows of four positions are first laid out in the scratch memory ("columns") as 16-bit
 * numbers without their zero point, so that padding is zero and the inner loop knows nothing of
 * strides, dilation, padding or groups.
 */
#ifndef EDGEPRUNE_COLUMNS_H
#define EDGEPRUNE_COLUMNS_H

#include "edgeprune_arithmetic.h"

#define POSITIONS 4

/* Columns: [depth][position]. */
#define COLUMN(columns, position, depth) ((columns)[(depth)*POSITIONS + (position)])

/* How sums become outputs: the fields of that name of a kernel's parameters. */
typedef struct {
    int32_t channels, zero_point, low, high, quick;
    const int32_t *multiplier;
    const int8_t *shift;
} edgeprune_outputs;

static inline void fill_zero(edgeprune_scratch16 *columns, int32_t position, int32_t depth,
                             int32_t count) {
    int32_t end = depth + count;
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = 0;
    }
}

static inline void fill(edgeprune_scratch16 *columns, int32_t position, int32_t depth,
                        const int8_t *from, int32_t count, int32_t zero_point) {
    int32_t end = depth + count;
    for (; depth < end; depth++) {
        COLUMN(columns, position, depth) = (int16_t)(*from++ - zero_point);
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
EDGEPRUNE_NOINLINE static void store_sums(const edgeprune_outputs *p, int32_t channel,
                                          const int32_t *sums, int32_t positions, int8_t *output) {
    int32_t step = p->channels, low = p->low, high = p->high;
    int32_t multiplier = p->multiplier[channel], shift = p->shift[channel];
    if (p->quick != 0) {
        edgeprune_quick_scaling scaling = edgeprune_scale_quick(multiplier, shift, p->zero_point);
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
            int32_t value = edgeprune_rescale(*sums++, &scaling) + p->zero_point;
            *output = edgeprune_clamp(value, low, high);
            output += step;
        }
    }
}

/* Convolves one block of positions with the channels first .. first + count - 1 of one group;
 * returns the weights behind those it used. */
static inline const int8_t *convolve_block(const edgeprune_outputs *p, const int32_t *bias,
                                           const edgeprune_scratch16 *columns,
                                           const int8_t *weights, int32_t depth_pairs,
                                           int32_t first, int32_t count, int32_t positions,
                                           int8_t *output) {
    int32_t channel;
    for (channel = first; channel < first + count; channel += 2) {
        int32_t sums[2 * POSITIONS];
        int32_t second = channel + 1 < first + count ? channel + 1 : channel;
        accumulate(columns, weights, depth_pairs, bias[channel], bias[second], sums);
        weights += 4 * depth_pairs;
        store_sums(p, channel, sums, positions, output + channel);
        if (second != channel) {
            store_sums(p, second, sums + POSITIONS, positions, output + second);
        }
    }
    return weights;
}

#endif
