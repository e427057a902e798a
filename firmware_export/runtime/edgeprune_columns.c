/* The inner loop of 1-D and 2-D convolutions, and how its sums become outputs. */
#include "edgeprune_columns.h"

/* The loop needs every register there is, so it is a function of its own. */
EDGEPRUNE_NOINLINE void edgeprune_accumulate(const edgeprune_scratch16 *columns,
                                             const int8_t *weights, int32_t depth_pairs,
                                             int32_t first_bias, int32_t second_bias,
                                             int32_t *sums) {
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

EDGEPRUNE_NOINLINE void edgeprune_store_sums(const edgeprune_outputs *p, int32_t channel,
                                             const int32_t *sums, int32_t positions,
                                             int8_t *output) {
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
