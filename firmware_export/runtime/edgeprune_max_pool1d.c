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
        int32_t channel = 0, cell;
        const int8_t *window;
        if (start < 0) {
            start = 0;
        }
        if (end > p->input_length) {
            end = p->input_length;
        }
        window = input + start * p->channels;
#if EDGEPRUNE_DSP
        {
            uint32_t low = edgeprune_four8(p->clamp_low), high = edgeprune_four8(p->clamp_high);
            for (; channel <= p->channels - 4; channel += 4) {
                const int8_t *from = window + channel;
                uint32_t largest = low;
                for (cell = end - start; cell > 0; cell--) {
                    largest = edgeprune_max8(edgeprune_load32(from), largest);
                    from += p->channels;
                }
                edgeprune_store32(output + channel, edgeprune_min8(largest, high));
            }
        }
#endif
        for (; channel < p->channels; channel++) {
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
