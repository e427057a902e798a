/* 1-D convolution: blocks of four positions and two output channels. */
#include "edgeprune_columns.h"
#include "edgeprune_kernels.h"

/* Lays out the window of one output position; padding is zero. */
static void fill_window(const edgeprune_conv1d_parameters *p, const int8_t *input, int32_t channels,
                        int32_t start, edgeprune_scratch16 *columns, int32_t position) {
    int32_t tap = 0;
    while (tap < p->kernel) {
        int32_t row = start + tap * p->dilation;
        int32_t taps = 1;
        if (row < 0 || row >= p->input_length) {
            fill_zero(columns, position, tap * channels, channels);
        } else {
            if (p->dilation == 1 && p->groups == 1) { /* the rest of the window lies in one piece */
                taps = p->kernel - tap;
                if (taps > p->input_length - row) {
                    taps = p->input_length - row;
                }
            }
            fill(columns, position, tap * channels, input + row * p->input_channels, taps * channels,
                 p->input_zero_point);
        }
        tap += taps;
    }
}

void edgeprune_conv1d(const edgeprune_conv1d_parameters *p, const int8_t *input, int8_t *output,
                      int32_t *scratch, int32_t first_row, int32_t rows) {
    edgeprune_scratch16 *columns = (edgeprune_scratch16 *)(void *)scratch;
    int32_t group_inputs = p->input_channels / p->groups;
    int32_t group_outputs = p->output_channels / p->groups;
    int32_t depth = p->kernel * group_inputs;
    int32_t depth_pairs = (depth + 1) / 2;
    int32_t end = first_row + rows;
    int32_t block, group, position;
    edgeprune_outputs outputs;
    outputs.channels = p->output_channels;
    outputs.zero_point = p->output_zero_point;
    outputs.low = p->clamp_low;
    outputs.high = p->clamp_high;
    outputs.quick = p->quick;
    outputs.multiplier = p->multiplier;
    outputs.shift = p->shift;
    output += first_row * p->output_channels;
    for (block = first_row; block < end; block += POSITIONS) {
        const int8_t *weights = p->weights;
        int32_t positions = end - block;
        if (positions > POSITIONS) {
            positions = POSITIONS;
        }
        for (group = 0; group < p->groups; group++) {
            int32_t first = group * group_outputs;
            for (position = 0; position < POSITIONS; position++) {
                if (position < positions) {
                    fill_window(p, input + group * group_inputs, group_inputs,
                                (block + position) * p->stride - p->pad_left, columns, position);
                    fill_zero(columns, position, depth, depth & 1);
                } else {
                    fill_zero(columns, position, 0, 2 * depth_pairs);
                }
            }
            weights = convolve_block(&outputs, p->bias, columns, weights, depth_pairs, first,
                                     group_outputs, positions, output);
        }
        output += positions * p->output_channels;
    }
}
