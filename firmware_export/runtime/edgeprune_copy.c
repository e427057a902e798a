/* One input of a concatenation. */
#include "edgeprune_kernels.h"

void edgeprune_copy(const edgeprune_copy_parameters *p, const int8_t *input, int8_t *output,
                    int32_t first_row, int32_t rows) {
    int32_t row, byte;
    input += first_row * p->row_bytes;
    output += p->output_offset + first_row * p->output_row_stride;
    for (row = 0; row < rows; row++) {
        for (byte = 0; byte < p->row_bytes; byte++) {
            output[byte] = *input++;
        }
        output += p->output_row_stride;
    }
}
