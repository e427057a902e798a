/* A function of one number: what each int8 becomes. */
#include "edgeprune_kernels.h"

void edgeprune_table(const edgeprune_table_parameters *p, const int8_t *input, int8_t *output,
                     int32_t first_element, int32_t elements) {
    int32_t element;
    for (element = first_element; element < first_element + elements; element++) {
        output[element] = p->entries[input[element] + 128];
    }
}
