/* Maximum of each window, over the cells inside the input. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

void edgeprune_max_pool1d(const edgeprune_max_pool1d_parameters *p, const int8_t *input,
                          int8_t *output, int32_t first_row, int32_t rows) {
    int32_t position;
    output += first_row * p->channels;
    for (position = first_row; position < first_row + rows; position++) {
        int32_t start = position * p->stride - p->pad_left;
        int32_t end = start + p->kernel;
        int32_t channel, cell;
        const int8_t *window;
        if (start < 0) {
            start = 0;
        }
        if (end > p->input_length) {
            end = p->input_length;
        }
        window = input + start * p->channels;
        for (channel = 0; channel < p->channels; channel++) {
            const int8_t *from = window + channel;
            int32_t largest = p->clamp_low;
            for (cell = end - start; cell > 0; cell--) {
                if (*from > largest) {
                    largest = *from;
                }
                from += p->channels;
            }
            output[channel] = edgeprune_clamp(largest, p->clamp_low, p->clamp_high);
        }
        output += p->channels;
    }
}
