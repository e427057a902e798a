/* Product of two tensors, each in its own range; the second may be shorter and then repeats. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

void edgeprune_mul(const edgeprune_mul_parameters *p, const int8_t *first, const int8_t *second,
                   int8_t *output, int32_t first_element, int32_t elements) {
    edgeprune_scaling scaling = edgeprune_scale(p->multiplier, p->shift);
    int32_t other = first_element % p->second_elements;
    int32_t element;
    for (element = first_element; element < first_element + elements; element++) {
        int32_t product = (first[element] - p->first_zero_point) * (second[other] - p->second_zero_point);
        output[element] = edgeprune_clamp(edgeprune_rescale(product, &scaling) + p->output_zero_point,
                                          p->clamp_low, p->clamp_high);
        other++;
        if (other == p->second_elements) {
            other = 0;
        }
    }
}
