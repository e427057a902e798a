/* Depthwise 2-D convolution: each output channel reads one input channel. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

/* The taps of a window along one axis that lie inside the input: padding adds nothing. */
typedef struct {
    int32_t first_tap, taps, start; /* start: the cell of the first of them */
} inside;

static inline inside taps_inside(int32_t start, int32_t taps, int32_t dilation, int32_t size) {
    inside found;
    found.first_tap = 0;
    while (taps > 0 && start < 0) {
        start += dilation;
        found.first_tap++;
        taps--;
    }
    while (taps > 0 && start + (taps - 1) * dilation >= size) {
        taps--;
    }
    found.taps = taps;
    found.start = taps > 0 ? start : 0;
    return found;
}

static inline int8_t finish_cell(const edgeprune_depthwise_conv2d_parameters *p, int32_t channel,
                            int32_t sum) {
    int32_t multiplier = p->multiplier[channel], shift = p->shift[channel], value;
    if (p->quick != 0) {
        edgeprune_quick_scaling scaling = edgeprune_scale_quick(multiplier, shift, p->output_zero_point);
        value = edgeprune_rescale_quick(sum, &scaling);
    } else {
        edgeprune_scaling scaling = edgeprune_scale(multiplier, shift);
        value = edgeprune_rescale(sum, &scaling) + p->output_zero_point;
    }
    return edgeprune_clamp(value, p->clamp_low, p->clamp_high);
}

void edgeprune_depthwise_conv2d(const edgeprune_depthwise_conv2d_parameters *p, const int8_t *input,
                                int8_t *output, int32_t first_row, int32_t rows) {
    int32_t row_step = p->dilation_length * p->input_row;
    int32_t cell_step = p->dilation_height * p->input_channels;
    int32_t row, cell;
    for (row = first_row; row < first_row + rows; row++) {
        inside along = taps_inside(row * p->stride_length - p->pad_left, p->kernel_length,
                                   p->dilation_length, p->input_length);
        int8_t *to = output + row * p->output_row;
        for (cell = 0; cell < p->output_height; cell++) {
            inside across = taps_inside(cell * p->stride_height - p->pad_top, p->kernel_height,
                                        p->dilation_height, p->input_height);
            const int8_t *window =
                input + along.start * p->input_row + across.start * p->input_channels;
            const int8_t *weights =
                p->weights + (along.first_tap * p->kernel_height + across.first_tap) * p->output_channels;
            int32_t channel, row_tap, cell_tap;
            for (channel = 0; channel < p->output_channels; channel++) {
                const int8_t *line = window + channel / p->channel_multiplier;
                const int8_t *line_weights = weights + channel;
                int32_t sum = p->bias[channel];
                for (row_tap = 0; row_tap < along.taps; row_tap++) {
                    const int8_t *from = line;
                    const int8_t *weight = line_weights;
                    for (cell_tap = across.taps; cell_tap > 0; cell_tap--) {
                        sum += (*from - p->input_zero_point) * *weight;
                        from += cell_step;
                        weight += p->output_channels;
                    }
                    line += row_step;
                    line_weights += p->kernel_height * p->output_channels;
                }
                to[channel] = finish_cell(p, channel, sum);
            }
            to += p->output_channels;
        }
    }
}
