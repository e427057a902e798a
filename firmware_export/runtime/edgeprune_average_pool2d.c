/* Mean of each window, over the cells inside the input. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

static inline int8_t average_map(const edgeprune_average_pool2d_parameters *p, int32_t sum,
                             int32_t cells) {
    int32_t half = cells / 2;
    return edgeprune_clamp((sum > 0 ? sum + half : sum - half) / cells, p->clamp_low, p->clamp_high);
}

void edgeprune_average_pool2d(const edgeprune_average_pool2d_parameters *p, const int8_t *input,
                          int8_t *output, int32_t first_row, int32_t rows) {
    int32_t line = p->input_height * p->channels;
    int32_t row, cell;
    output += first_row * p->output_height * p->channels;
    for (row = first_row; row < first_row + rows; row++) {
        int32_t start_row = row * p->stride_length - p->pad_left;
        int32_t last_row = start_row + p->kernel_length;
        if (start_row < 0) {
            start_row = 0;
        }
        if (last_row > p->input_length) {
            last_row = p->input_length;
        }
        for (cell = 0; cell < p->output_height; cell++) {
            int32_t start_cell = cell * p->stride_height - p->pad_top;
            int32_t last_cell = start_cell + p->kernel_height;
            int32_t channel, along, across;
            if (start_cell < 0) {
                start_cell = 0;
            }
            if (last_cell > p->input_height) {
                last_cell = p->input_height;
            }
            for (channel = 0; channel < p->channels; channel++) {
                int32_t sum = 0;
                for (along = start_row; along < last_row; along++) {
                    const int8_t *from = input + along * line + start_cell * p->channels + channel;
                    for (across = start_cell; across < last_cell; across++) {
                        sum += *from;
                        from += p->channels;
                    }
                }
                output[channel] = average_map(p, sum, (last_row - start_row) * (last_cell - start_cell));
            }
            output += p->channels;
        }
    }
}
