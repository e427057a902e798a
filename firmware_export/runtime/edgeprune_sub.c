/* Difference of two tensors, each in its own range; both are first shifted left by 20 bits. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

#define LEFT_SHIFT 20

void edgeprune_sub(const edgeprune_sub_parameters *p, const int8_t *first, const int8_t *second,
                   int8_t *output, int32_t first_element, int32_t elements) {
    /* Every shift is at most 0: both inputs are scaled down to the wider of the two ranges. */
    edgeprune_quick_scaling first_scaling =
        edgeprune_scale_quick(p->first_multiplier, p->first_shift, 0);
    edgeprune_quick_scaling second_scaling =
        edgeprune_scale_quick(p->second_multiplier, p->second_shift, 0);
    edgeprune_quick_scaling scaling = edgeprune_scale_quick(p->output_multiplier, p->output_shift, 0);
    int32_t element;
    for (element = first_element; element < first_element + elements; element++) {
        int32_t left = (first[element] - p->first_zero_point) * (1 << LEFT_SHIFT);
        int32_t right = (second[element] - p->second_zero_point) * (1 << LEFT_SHIFT);
        int32_t difference = edgeprune_rescale_quick(left, &first_scaling) -
                             edgeprune_rescale_quick(right, &second_scaling);
        output[element] = edgeprune_clamp(
            edgeprune_rescale_quick(difference, &scaling) + p->output_zero_point, p->clamp_low,
            p->clamp_high);
    }
}
