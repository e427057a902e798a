/* Fully connected layer: two outputs at a time, the input widened once. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

static inline void store(const edgeprune_dense_parameters *p, int32_t feature, int32_t sum,
                         int8_t *output) {
    int32_t multiplier = p->multiplier[feature], shift = p->shift[feature], value;
    if (p->quick != 0) {
        edgeprune_quick_scaling scaling = edgeprune_scale_quick(multiplier, shift, p->output_zero_point);
        value = edgeprune_rescale_quick(sum, &scaling);
    } else {
        edgeprune_scaling scaling = edgeprune_scale(multiplier, shift);
        value = edgeprune_rescale(sum, &scaling) + p->output_zero_point;
    }
    output[feature] = edgeprune_clamp(value, p->clamp_low, p->clamp_high);
}

void edgeprune_dense(const edgeprune_dense_parameters *p, const int8_t *input, int8_t *output,
                     int32_t *scratch) {
    edgeprune_scratch16 *widened = (edgeprune_scratch16 *)(void *)scratch;
    const int8_t *weights = p->weights;
    int32_t depth_pairs = (p->input_features + 1) / 2;
    int32_t feature, depth;
    for (depth = 0; depth < p->input_features; depth++) {
        widened[depth] = (int16_t)(input[depth] - p->input_zero_point);
    }
    if (depth < 2 * depth_pairs) {
        widened[depth] = 0;
    }
    for (feature = 0; feature < p->output_features; feature += 2) {
        int32_t second = feature + 1 < p->output_features ? feature + 1 : feature;
        int32_t first_sum = p->bias[feature], second_sum = p->bias[second];
        const int8_t *end = weights + 4 * depth_pairs;
        const edgeprune_scratch16 *values = widened;
        do {
            int32_t value = *values;
            values++;
            first_sum += value * weights[0];
            second_sum += value * weights[1];
            weights += 2;
        } while (weights != end);
        store(p, feature, first_sum, output);
        if (second != feature) {
            store(p, second, second_sum, output);
        }
    }
}
