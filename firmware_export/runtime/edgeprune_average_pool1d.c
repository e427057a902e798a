/* Average of each window, over the cells inside the input; halves are rounded away from zero. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

static inline int8_t average(const edgeprune_average_pool1d_parameters *p, int32_t sum,
                             int32_t cells) {
    int32_t half = cells / 2;
    return edgeprune_clamp((sum > 0 ? sum + half : sum - half) / cells, p->clamp_low, p->clamp_high);
}

void edgeprune_average_pool1d(const edgeprune_average_pool1d_parameters *p, const int8_t *input,
                              int8_t *output, int32_t first_row, int32_t rows) {
    int32_t position;
    output += first_row * p->channels;
    for (position = first_row; position < first_row + rows; position++) {
        int32_t start = position * p->stride - p->pad_left;
        int32_t end = start + p->kernel;
        int32_t cells, channel, cell;
        const int8_t *window;
        if (start < 0) {
            start = 0;
        }
        if (end > p->input_length) {
            end = p->input_length;
        }
        cells = end - start;
        window = input + start * p->channels;
        for (channel = 0; channel < p->channels; channel++) {
            const int8_t *from = window + channel;
            int32_t sum = 0;
            for (cell = cells; cell > 0; cell--) {
                sum += *from;
                from += p->channels;
            }
            output[channel] = average(p, sum, cells);
        }
        output += p->channels;
    }
}
