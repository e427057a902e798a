/* Depthwise 1-D convolution: each output channel reads one input channel. */
#include "edgeprune_arithmetic.h"
#include "edgeprune_kernels.h"

static inline int8_t finish(const edgeprune_depthwise_conv1d_parameters *p, int32_t channel,
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

void edgeprune_depthwise_conv1d(const edgeprune_depthwise_conv1d_parameters *p, const int8_t *input,
                                int8_t *output, int32_t first_row, int32_t rows) {
    int32_t input_step = p->dilation * p->input_channels;
    int32_t position;
    output += first_row * p->output_channels;
    for (position = first_row; position < first_row + rows; position++) {
        /* Only the taps inside the input: padding adds nothing. */
        int32_t row = position * p->stride - p->pad_left;
        const int8_t *weights = p->weights;
        const int8_t *window;
        int32_t taps = p->kernel, channel, tap;
        while (taps > 0 && row < 0) {
            row += p->dilation;
            weights += p->output_channels;
            taps--;
        }
        while (taps > 0 && row + (taps - 1) * p->dilation >= p->input_length) {
            taps--;
        }
        window = taps > 0 ? input + row * p->input_channels : input;
        for (channel = 0; channel < p->output_channels; channel++) {
            const int8_t *from = window + channel / p->channel_multiplier;
            const int8_t *weight = weights + channel;
            int32_t sum = p->bias[channel];
            for (tap = taps; tap > 0; tap--) {
                sum += (*from - p->input_zero_point) * *weight;
                from += input_step;
                weight += p->output_channels;
            }
            output[channel] = finish(p, channel, sum);
        }
        output += p->output_channels;
    }
}
