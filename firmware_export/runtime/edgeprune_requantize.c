/* The same numbers in another range. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

void edgeprune_requantize(const edgeprune_requantize_parameters *p, const int8_t *input,
                          int8_t *output, int32_t first_element, int32_t elements) {
    edgeprune_scaling scaling = edgeprune_scale(p->multiplier, p->shift);
    int32_t element;
    for (element = first_element; element < first_element + elements; element++) {
        int32_t value = edgeprune_rescale(input[element] - p->input_zero_point, &scaling);
        output[element] = edgeprune_clamp(value + p->output_zero_point, p->clamp_low, p->clamp_high);
    }
}
